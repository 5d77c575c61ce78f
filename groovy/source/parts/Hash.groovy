import java.security.MessageDigest

/** SHA-256 of a file, as hexadecimal; of text and bytes Groovy has it (digest). */
class Hash {
    static String sha256(File file) {
        def digest = MessageDigest.getInstance('SHA-256')
        file.eachByte(1 << 20) { byte[] block, int n -> digest.update(block, 0, n) }
        return HexFormat.of().formatHex(digest.digest())
    }
}
