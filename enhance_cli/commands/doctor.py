"""``enhance doctor``: whether the installation is whole."""

import typer

from enhance_cli.commands import options


def doctor(json: options.Json = False) -> None:
    """Examine the installation and the machine, and say what is broken or would make it faster.

    It tells versions, devices, engines, what the CPU computes in, whether the weights are whole,
    formats and codecs, memory and disk. The exit code is 1 if something is broken.
    """
    from enhance_cli.tasks.doctor import run_doctor

    raise typer.Exit(run_doctor(as_json=json))
