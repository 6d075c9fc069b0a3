"""The command line: `navplan VERB ...`.

Exit codes: 0 done; 2 wrong use or bad input, one message, nothing written; 3 and 4 for check and plan (see there); 130
stopped by the user, nothing changed; 1 a fault of navplan, with a report file for an issue.
"""

from __future__ import annotations

import re
import signal
import sys
from argparse import Namespace
from collections.abc import Sequence

from navplan.cli.parser import make_parser
from navplan.errors import InputError, NavplanError

COORDINATES = re.compile(r"-[\d.][\d.eE+-]*(,[\d.eE+-]+)+")  # "-10,0,-20": argparse takes it for an option


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; gives back the exit code."""
    try:
        options = make_parser().parse_args(_with_minus(sys.argv[1:] if arguments is None else arguments))
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 2
    from navplan.cli import commands
    from navplan.cli.output import Output, listen_to_interrupts

    output = Output(as_json=options.json, quiet=options.quiet, verb=options.verb)
    interrupts = signal.getsignal(signal.SIGINT)
    try:
        output.start_log(options.log)
        _refuse_empty_paths(options)
        return int(getattr(commands, "do_" + options.verb.replace("-", "_"))(options, output))
    except NavplanError as error:
        output.error(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        output.error("stopped; nothing was changed")
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as error:
        place = f"{str(error.filename)[:200]}: " if error.filename else ""
        output.error(f"{place}{error.strerror or error}. Expected: files and folders that can be used, and free space.")
        return 2
    except Exception as fault:
        from navplan.cli.fault import write_fault_report

        output.error(
            f"a fault of navplan: {type(fault).__name__}: {fault}."
            f" Report for an issue: {write_fault_report(fault, options)}"
        )
        return 1
    finally:
        if arguments is not None:  # else the process ends here
            listen_to_interrupts(interrupts)


def _with_minus(words: Sequence[str]) -> list[str]:
    """The words, with coordinates that begin with a minus put to the option before them: --at=-10,0,-20."""
    found: list[str] = []
    for word in words:
        if found and found[-1].startswith("--") and "=" not in found[-1] and COORDINATES.fullmatch(word):
            found[-1] += f"={word}"
        else:
            found.append(word)
    return found


def _refuse_empty_paths(options: Namespace) -> None:
    """An empty path would be the folder that one happens to stand in: a variable that was never set, most likely."""
    for name in ("path", "case"):
        if getattr(options, name, None) == "":
            raise InputError(f"an empty {name}", "a file or folder", 'For the folder that you are in, write "."')
