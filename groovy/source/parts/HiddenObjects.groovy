/** Objects that leave no pixel: those of a class that has none, and those on planes that are not there. */
class HiddenObjects {
    static Map of(ImagePlan plan, Map pixels) {
        def groups = plan.legend.findAll { it.objects && !pixels[it.label] }.collect {
            ['class_name': it.name, objects: it.objects, of: it.objects, why: 'unknown', by: [], ids: []]
        }
        groups += plan.lost.findAll { name, n -> plan.rules.any { it[0] == name } }.collect { name, n ->
            ['class_name': name ?: 'Unclassified', objects: n, of: n, why: 'plane', by: [], ids: []]
        }
        return [groups: groups, covered: [], all_background: plan.drawn > 0 && pixels.keySet().every { it == 0 },
                counted: 'labels', objects: groups.sum(0) { it.objects }]
    }

    static List<String> lines(hidden) {
        def lines = (hidden?.groups ?: []).collect {
            "${it.class_name}: ${Words.objects(it.objects)}, no pixel left: " + (it.why == 'plane'
                    ? 'on a slice or time point that the image does not have'
                    : 'covered by others, outside the image, or thinner than a pixel')
        }
        if (hidden?.all_background)
            lines = ['The mask is all background, though there are objects to draw'] + lines
        return lines*.toString()
    }
}
