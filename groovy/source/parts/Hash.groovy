import groovy.transform.CompileStatic
import java.nio.charset.StandardCharsets
import java.security.MessageDigest

/** SHA-256 of files and text, as hexadecimal. */
@CompileStatic
class Hash {
    static String sha256(File file) {
        MessageDigest digest = MessageDigest.getInstance('SHA-256')
        byte[] block = new byte[1 << 20]
        new FileInputStream(file).withCloseable { FileInputStream stream ->
            int n
            while ((n = stream.read(block)) > 0)
                digest.update(block, 0, n)
        }
        return hex(digest.digest())
    }

    static String sha256(String text) {
        return hex(MessageDigest.getInstance('SHA-256').digest(text.getBytes(StandardCharsets.UTF_8)))
    }

    static String hex(byte[] bytes) {
        return new BigInteger(1, bytes).toString(16).padLeft(2 * bytes.length, '0')
    }
}
