"""The licence files say what the manifest says."""

import hashlib
import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]


def test_the_code_has_the_apache_licence_word_for_word():
    text = (PROJECT / "LICENSE").read_bytes()
    assert hashlib.sha256(text).hexdigest() == (
        "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
    )


def test_every_checkpoint_is_under_the_terms_of_its_data():
    manifest = tomllib.loads((PROJECT / "weights" / "MANIFEST.toml").read_text(encoding="utf-8"))
    terms = {"CelebA": "CelebA", "MNIST": "MNIST", "mixed": "mixed photographs"}
    expected = {
        path.stem: terms[re.match(r"\w+", manifest[path.stem]["licence"])[0]]
        for path in (PROJECT / "weights").glob("*.safetensors")
    }
    stated = {}
    for line in (PROJECT / "weights" / "LICENSES.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            names, data = line.split("|")[1:3]
            for name in re.findall(r"`(.+?)`", names):
                assert name not in stated, f"{name} stands in two lines"
                stated[name] = next(term for term in terms.values() if term in data)
    assert stated == expected
