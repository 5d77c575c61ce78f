import qupath.lib.gui.QuPathGUI

/** How QuPath starts a script: in its window, or by its own command, which loses a script's errors. */
class Launch {
    private final Script script
    // export_current_image.groovy runs export_masks.groovy for one image, and says which.
    private final String only
    private final boolean isCommand = QuPathGUI.getInstance() == null &&
            Thread.currentThread().stackTrace.any { it.className == 'qupath.ScriptCommand' }

    private Launch(Script script) {
        this.script = script
        only = given('qpmaskImage', null)
    }

    static Launch of(Script script) {
        return new Launch(script)
    }

    /** Runs the export with the arguments; what it returns says whether all is `ok`, and if not, the `message`. */
    void run(Closure export) {
        if (only == null && given('qupath.script.batchIndex', 0) > 0) {
            script.println 'qpmask: all images were exported with the first one.'
            return
        }
        def outcome
        try {
            outcome = export((given('args', null) ?: []) as List<String>, only)
        } catch (MaskStop stop) {
            if (!isCommand || only != null)
                throw stop
            System.err.println("qpmask: ${stop.message}")
            System.exit(1)
        }
        if (isCommand && only == null && (!outcome.ok || given('qupath.script.batchSize', 1) > 1)) {
            System.out.flush()
            System.exit(outcome.ok ? 0 : 1)  // else QuPath would go on to open all other slides
        }
        if (!outcome.ok)
            throw new MaskStop(outcome.message)
    }

    private Object given(String name, otherwise) {
        return script.binding.hasVariable(name) ? script.binding.getVariable(name) : otherwise
    }
}
