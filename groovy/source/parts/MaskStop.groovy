/** Something that the user can do something about; no stack trace. */
class MaskStop extends RuntimeException {
    final String type  // of the same error of qpmask

    MaskStop(String message, String type = 'QpmaskError') {
        super(message, null, false, false)
        this.type = type
    }
}
