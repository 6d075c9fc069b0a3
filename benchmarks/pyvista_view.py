"""pyvista's own remote view of the same image and anatomy in the same browser: what the app's figures stand beside.

    python -m benchmarks.pyvista_view CASE [--triangles 100000]

A pyvista plotter with an axial slice of the image and the case's structures as surfaces, shown by trame-pyvista's
plotter_ui in its server mode (every picture drawn by the server), opened in Debian's chromium. Timed from the page: a
slider's value set until the picture changes, and pictures a second while the mouse turns the scene. Needs the extra
`benchmark`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import socket
import time
import urllib.request
from typing import Any

import numpy as np

from benchmarks.app import CHROMIUM, FLAGS, SIZE

SLICES = 30


def serve(case_folder: str, port: int, triangles: int) -> None:
    """The viewer, until it is ended."""
    import pyvista as pv
    from trame.app import get_server
    from trame.ui.vuetify3 import SinglePageLayout
    from trame_pyvista.ui import plotter_ui

    from navplan.imaging.surfaces import display_surface
    from navplan.model.structure import Presence
    from navplan.verbs.case_verbs import open_case

    case = open_case(case_folder)
    image_id, volume = case.image("")
    grid = volume.grid
    image = pv.ImageData(dimensions=grid.shape, spacing=tuple(grid.spacing_mm))
    image.point_data["hu"] = volume.voxels.ravel(order="F")
    plotter = pv.Plotter(off_screen=True)
    present = [one for one in case.structures_of(image_id).values() if one.presence is Presence.PRESENT]
    present = sorted(present, key=lambda one: one.name)[:40]
    each = max(200, triangles // max(len(present), 1))
    for structure in present:
        surface = display_surface(structure, spacing_mm=2.0, max_triangles=each)
        if len(surface.triangles):
            faces = np.hstack([np.full((len(surface.triangles), 1), 3), surface.triangles])
            plotter.add_mesh(pv.PolyData(grid.indices(surface.points_mm) * grid.spacing_mm, faces), opacity=1.0)
    middle = image.center
    shown = image.slice(normal="z", origin=middle)
    plotter.add_mesh(shown, cmap="gray", clim=(-1050, 350), show_scalar_bar=False)

    server = get_server("pyvista-view", client_type="vue3")
    server.state.number = grid.shape[2] // 2

    @server.state.change("number")
    def moved(number: int, **_: Any) -> None:
        shown.copy_from(image.slice(normal="z", origin=(middle[0], middle[1], number * grid.spacing_mm[2])))
        server.controller.view_update()

    with SinglePageLayout(server) as layout, layout.content:
        view = plotter_ui(plotter, mode="server", server=server, default_server_rendering=True)
        server.controller.view_update = view.update
    server.start(port=port, open_browser=False, show_connection_info=False, argv=["--server"])


WATCH = """() => {
  window.changes = [];
  let last = '';
  const look = () => {
    const now = document.querySelector('canvas + img')?.src || '';  // each picture is an address of its own
    if (now !== last) { last = now; window.changes.push(performance.now()); }
    setTimeout(look, 2);
  };
  look();
}"""


def measure(address: str) -> tuple[list[float], float]:
    """Milliseconds from slider to changed picture; pictures a second while the scene is turned."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = browser.new_page(viewport=SIZE)
        page.goto(address)
        page.wait_for_selector("canvas + img", state="attached", timeout=120_000)
        page.wait_for_timeout(5000)
        page.evaluate(WATCH)
        taken = []
        for n in range(SLICES):
            before = page.evaluate(
                "n => { const at = performance.now(); window.trame.state.set('number', n); return at; }", 40 + n
            )
            page.wait_for_function("at => window.changes.some((one) => one > at)", arg=before, polling=5)
            taken.append(page.evaluate("at => window.changes.find((one) => one > at) - at", before))
            page.wait_for_timeout(300)
        page.wait_for_timeout(1000)
        x, y = SIZE["width"] / 2, SIZE["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        count, start, n = page.evaluate("window.changes.length"), time.perf_counter(), 0
        while time.perf_counter() - start < 5.0:
            n += 1
            page.mouse.move(x + 160 * np.sin(n / 25), y + 60 * np.cos(n / 30))
            page.wait_for_timeout(10)
        spent, drawn = time.perf_counter() - start, page.evaluate("window.changes.length") - count
        page.mouse.up()
        browser.close()
        return taken[3:], drawn / spent


def table(case_folder: str, triangles: int) -> list[str]:
    """The figures as lines of Markdown."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(case_folder, port, triangles))
    process.start()
    address = f"http://localhost:{port}/"
    try:
        for _ in range(240):
            time.sleep(0.5)
            try:
                urllib.request.urlopen(address, timeout=2)
                break
            except OSError:
                continue
        taken, turned = measure(address)
        return [
            "| pyvista's remote view | slider to new slice, median / 95 % | scene turned, images a second |",
            "|---|---|---|",
            f"| {triangles:,} triangles | {np.median(taken):.0f} / {np.percentile(taken, 95):.0f} ms | {turned:.1f} |",
        ]
    finally:
        process.kill()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case")
    parser.add_argument("--triangles", type=int, default=100_000)
    options = parser.parse_args()
    print("\n".join(table(options.case, options.triangles)))


if __name__ == "__main__":
    main()
