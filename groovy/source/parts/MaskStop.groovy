/** Something that the user can do something about; no stack trace. */
class MaskStop extends RuntimeException {
    MaskStop(String message) {
        super(message, null, false, false)
    }
}
