"""The command line: `navplan VERB ...`.

Exit codes: 0 done; 2 wrong use or bad input, one message, nothing written; 3 and 4 for check and plan (see there); 130
stopped by the user, nothing changed; 1 a fault of navplan, with a report file for an issue.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from navplan.cli.parser import make_parser
from navplan.errors import NavplanError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; gives back the exit code."""
    try:
        options = make_parser().parse_args(arguments)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 2
    from navplan.cli import commands
    from navplan.cli.output import Output

    output = Output(as_json=options.json, quiet=options.quiet, verb=options.verb)
    output.start_log(options.log)
    try:
        return int(getattr(commands, "do_" + options.verb)(options, output))
    except NavplanError as error:
        output.error(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        output.error("stopped; nothing was changed")
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as fault:
        from navplan.cli.fault import write_fault_report

        output.error(
            f"a fault of navplan: {type(fault).__name__}: {fault}."
            f" Report for an issue: {write_fault_report(fault, options)}"
        )
        return 1
