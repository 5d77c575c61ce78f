/** A setting that is given to a script as name=value. */
class GivenSetting {
    /** Puts it among the settings; false if the text is none. */
    static boolean take(Map settings, String text) {
        def found = text =~ /^(\w+)=(.*)$/
        if (!found.matches())
            return false
        def (name, value) = [found.group(1), found.group(2)]
        if (!settings.containsKey(name))
            throw new MaskStop("There is no setting '${name}' (${text}). There are: ${settings.keySet().join(', ')}.")
        settings[name] = value in ['', 'null'] ? null : settings[name] instanceof Boolean ? value == 'true' : value
        return true
    }
}
