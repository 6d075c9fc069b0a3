"""serve: the app in a browser; train: the learner's page."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING

from navplan.cli.output import Output, listen_to_interrupts
from navplan.errors import InputError

if TYPE_CHECKING:
    from navplan.model.scenario import Scenario


def do_serve(options: Namespace, output: Output) -> int:
    """Serve a case, and take in what arrives, until it is interrupted."""
    from contextlib import ExitStack
    from pathlib import Path

    from navplan.model.case import Case
    from navplan.verbs.case_verbs import save_case
    from navplan.verbs.pacs import listen

    if options.listen is not None and not options.inbox:
        raise InputError("--listen without --inbox", "--inbox DIR, where to put what arrives")
    _check_address(options.host, options.port)  # before anything is made
    with ExitStack() as held:
        if options.listen is not None:
            listener = held.enter_context(listen(options.inbox, options.listen, ae_title=options.ae_title))
            output.message(f"Listening on port {listener.port} of this machine as {options.ae_title}.")
        if options.inbox and not Path(options.case).exists():
            save_case(Case(), options.case, "new")
        serve_case(options.case, options, output, inbox=options.inbox)
    return 0


def serve_case(folder: str, options: Namespace, output: Output, inbox: str = "") -> None:
    """Open the case, take the port, print the address, serve; and then whichever case the page asks for. Raises
    InputError for a port that cannot be taken."""
    from contextlib import suppress
    from secrets import token_urlsafe

    from aiohttp.web import GracefulExit

    from navplan.app.guard import Guard, is_loopback
    from navplan.app.server import App
    from navplan.session.arrivals import Arrivals
    from navplan.session.session import Session

    host, port = options.host, options.port
    _check_address(host, port)
    session = Session(folder)
    token = "" if is_loopback(host) else token_urlsafe(24)
    ready = _announcing(host, token, output)

    def quietly(taken: int) -> None:
        output.message(f"Now serving {session.folder}.")

    guard = Guard(token)
    with suppress(KeyboardInterrupt, GracefulExit):
        while True:
            arrivals = Arrivals(session, inbox) if inbox else None
            app = App(session, host, port, token, ready, arrivals, guard)
            app.run()
            if app.next_case is None:
                return
            session, port, ready = Session(app.next_case), app.port, quietly


def serve_rehearsal(options: Namespace, output: Output) -> None:
    """Open the learner's page with the scenario, print the address, serve; finished attempts go to --out. Raises
    InputError for a scenario, difficulty, name or port that cannot be."""
    from contextlib import suppress
    from secrets import token_urlsafe

    from navplan.app.guard import is_loopback
    from navplan.app.rehearsal import RehearsalPages
    from navplan.app.rehearsal_server import RehearsalApp
    from navplan.extend import registry
    from navplan.files.attempt_file import learner_name
    from navplan.verbs.attempts import keep_attempt

    name = learner_name(options.name)
    first = registry.scenario(options.scenario)
    first.at(options.difficulty)  # refused here, in words
    _check_address(options.host, options.port)
    if name:
        output.message(f"{name!r} is stored in the file of each attempt: let it be a pseudonym.")
    token = "" if is_loopback(options.host) else token_urlsafe(24)

    def offered() -> list[Scenario]:
        return list((registry.scenarios() | {first.id: first}).values())

    pages = RehearsalPages(offered, lambda ready, attempt: str(keep_attempt(ready, attempt, options.out, name)))
    app = RehearsalApp(
        pages, options.host, options.port, token, _announcing(options.host, token, output), first, options.seed,
        options.difficulty,
    )  # fmt: skip
    with suppress(KeyboardInterrupt):
        app.run()


def _announcing(host: str, token: str, output: Output) -> Callable[[int], None]:
    """What prints the address once the port is taken."""
    import signal

    def ready(taken: int) -> None:
        name = "localhost" if host in ("127.0.0.1", "localhost") else f"[{host}]" if ":" in host else host
        address = f"http://{name}:{taken}/" + (f"?token={token}" if token else "")
        interrupts = signal.getsignal(signal.SIGINT)
        output.result(address, {"address": address})
        listen_to_interrupts(interrupts)  # after a result Ctrl-C is deaf; here the work only begins
        output.message("Stop it with Ctrl-C. For research, training and rehearsal; not for clinical use.")

    return ready


def _check_address(host: str, port: int) -> None:
    """Raises InputError for a port that cannot be taken."""
    import socket

    if not 0 <= port <= 65535:
        raise InputError(f"port {port}", "0 to 65535")
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((host, port))
    except OSError as error:
        raise InputError(
            f"{host}, port {port}: {error.strerror or error}", "an address of this machine and a port that is free",
            "Choose another with --host or --port; --port 0 takes a free one",
        ) from error  # fmt: skip
