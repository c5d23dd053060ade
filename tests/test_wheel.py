"""A wheel of the project, installed elsewhere, finds its weights and enlarges a picture."""

import json
import os
import subprocess
import sys
from email.parser import HeaderParser
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_wheel_elsewhere(tmp_path: Path):
    def run(*command: object, **options: object) -> str:
        ran = subprocess.run([*map(str, command)], capture_output=True, text=True, **options)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path / "dist", PROJECT)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    site = tmp_path / "site"
    run(*pip, "install", "--no-deps", "--target", site, wheel)

    assert (site / "enhance_cli" / "py.typed").is_file()
    (info,) = site.glob("*.dist-info")
    metadata = HeaderParser().parsestr((info / "METADATA").read_text(encoding="utf-8"))
    assert metadata["License-Expression"] == "Apache-2.0 AND LicenseRef-weights"
    for name in metadata.get_all("License-File"):
        assert (info / "licenses" / name).read_bytes() == (PROJECT / name).read_bytes()

    # -P and the target first on the path: nothing of this checkout may be imported.
    env = {**os.environ, "PYTHONPATH": str(site), "ENHANCE_CACHE": str(tmp_path / "cache")}
    env.pop("ENHANCE_WEIGHTS", None)

    def enhance(*arguments: object) -> str:
        return run(sys.executable, "-P", "-m", "enhance_cli", *arguments, env=env, cwd=tmp_path)

    shown = json.loads(enhance("weights", "show", "enet-e-x2", "--json"))
    assert shown["path"].startswith(str(site)) and shown["sha256"] == "right"
    enhance("superres", PROJECT / "examples" / "astronaut.png", "-o", tmp_path / "big.png")
    assert (tmp_path / "big.png").stat().st_size > 100_000
