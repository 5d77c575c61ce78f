#!/usr/bin/env bash
# nibabel's get_content() of a NIfTI header extension that Connectome Workbench writes raises NotImplementedError.
# nibabel 5.4.2 (5.2.1 returns the bytes). Extensions 0 (ignore), 4 (AFNI), 6 (comment) and of codes without a name
# work; 18 to 42, of which 30 is Caret (label names and colours), are read as the base class, in which get_content,
# kept for "backwards compatibility", is not implemented, and whose error has no words. `.content` has the bytes. Code
# that skips extensions that it cannot read loses the names of labels in silence.
# Seen: "5.2.1: 0 bytes, 4 bytes, 6 bytes, 30 bytes, 40 bytes, 99 bytes; 5.4.2: 0 bytes, 4 bytes, 6 bytes,
# 30 NotImplementedError(), 40 NotImplementedError(), 99 bytes".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 5.2.1 5.4.2; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install -q "nibabel==$version" "numpy<2.3"
done
cat > "$folder/try.py" <<'PY'
import sys

import nibabel
import numpy

text = b"<LabelTable><Label Key='1'>liver</Label></LabelTable>"
found = []
for code in (0, 4, 6, 30, 40, 99):
    image = nibabel.Nifti1Image(numpy.zeros((2, 2, 2), "u1"), numpy.eye(4))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(code, text))
    nibabel.save(image, "x.nii")
    (extension,) = nibabel.load("x.nii").header.extensions
    assert extension.get_code() == code
    try:
        assert extension.get_content().rstrip(b"\0") == text
        found.append(f"{code} bytes")
    except NotImplementedError as error:
        found.append(f"{code} {error!r}")
    if hasattr(extension, "content"):
        assert extension.content.rstrip(b"\0") == text
print(f"{nibabel.__version__}: {', '.join(found)}")
refused = [one for one in found if "Not" in one]
assert len(refused) == (2 if sys.argv[1] == "5.4.2" else 0), found
PY
cd "$folder"
for version in 5.2.1 5.4.2; do
    "$version/bin/python" try.py "$version"
done
