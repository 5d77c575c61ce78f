"""Patches to features: each patch of a patch file becomes a vector of numbers, in the same file.

:mod:`.registry` (which extractors there are: ``registry.toml``) -> :mod:`.choosing` (a name, an
ONNX file, a function of someone's own) -> an :class:`~qpmask.features.extractor.Extractor`
(:mod:`.with_torch`, whose models :mod:`.loaders` makes; :mod:`.with_onnx`; :mod:`.userextractors`)
-> :mod:`.patchreaders` (patches read, scaled as :mod:`.preprocessing` says, and waiting for it) ->
:mod:`.sidefile` (features as they come, safe from a crash) -> the patch file. :mod:`.job` is that
for one slide, :mod:`.run` for all of them.

torch, timm, transformers, open_clip and ONNX Runtime are imported where an extractor is made.
"""
