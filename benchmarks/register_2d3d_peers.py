"""DiffDRR on the same shots, CT and starts as `register_2d3d`, on the CPU: its renderer and its similarity.

    python -m benchmarks.register_2d3d_peers IMAGES --keep FOLDER --python PYTHON [--runs 5]

FOLDER: where `register_2d3d --keep` left its shots; PYTHON: an interpreter with diffdrr (and torch) in it. Settings: CT
of 2.8 mm voxels, pictures of 64 x 64, 120 samples a ray, gradient NCC (sigma 1) plus NCC of both views, Adam on a
rotation vector and a shift, 120 steps, step sizes .02 rad and 2 mm falling by .97 a step. Other settings may do better.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.register_2d3d import FIRST_SEED, _pictures, _whole
from benchmarks.register_2d3d_worlds import places_of, start_near, true_pose
from navplan.fluoroscopy.anatomy import binned
from navplan.fluoroscopy.rigid_pose import apart_mm
from navplan.imaging.body import find_body

DIFFDRR = """
import sys, time
import numpy as np, torch
from diffdrr.renderers import Trilinear
from diffdrr.metrics import GradientNormalizedCrossCorrelation2d, NormalizedCrossCorrelation2d
torch.set_num_threads(1)
data = np.load(sys.argv[1])
volume = torch.tensor(data["volume"])
inverse = torch.tensor(np.linalg.inv(data["affine"]), dtype=torch.float32)
shots = torch.tensor(data["shots"])[:, None]
sources, pixels = (torch.tensor(data[name], dtype=torch.float32) for name in ("sources", "pixels"))
render, side = Trilinear(), data["shots"].shape[1]
grad, plain = GradientNormalizedCrossCorrelation2d(sigma=1.0), NormalizedCrossCorrelation2d()
start = torch.tensor(data["start"], dtype=torch.float32)
turn, shift = torch.zeros(3, requires_grad=True), torch.zeros(3, requires_grad=True)

def skew(v):
    zero = torch.zeros(())
    return torch.stack([torch.stack([zero, -v[2], v[1]]), torch.stack([v[2], zero, -v[0]]),
                        torch.stack([-v[1], v[0], zero])])

def pose():
    step = torch.matrix_exp(skew(turn))
    top = torch.cat([step @ start[:3, :3], (step @ start[:3, 3] + shift)[:, None]], 1)
    return torch.cat([top, torch.tensor([[0.0, 0.0, 0.0, 1.0]])])

optimiser = torch.optim.Adam([{"params": [turn], "lr": 0.02}, {"params": [shift], "lr": 2.0}])
falling = torch.optim.lr_scheduler.ExponentialLR(optimiser, 0.97)
clock, cpu = time.perf_counter(), time.process_time()
for _ in range(120):
    back = torch.linalg.inv(pose())
    to_index = inverse @ back
    loss = 0.0
    for source, pixel, shot in zip(sources, pixels, shots):
        s = (to_index[:3, :3] @ source + to_index[:3, 3])[None, None]
        t = (pixel @ to_index[:3, :3].T + to_index[:3, 3])[None]
        length = (pixel - source).norm(dim=-1)[None, None]
        image = render(volume, s, t, length, n_points=120).reshape(1, 1, side, side)
        loss = loss - grad(image, shot[None]).mean() - plain(image, shot[None]).mean()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    falling.step()
np.savez(sys.argv[2], pose=pose().detach().numpy(), times=(time.perf_counter() - clock, time.process_time() - cpu))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("--keep", type=Path, required=True)
    parser.add_argument("--python", required=True)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    whole = _whole(options.images)
    body = find_body(whole).body
    hu = np.where(body, whole.voxels, -1000).astype(np.int16)
    small, grid = binned(hu, whole.grid, [2.8] * 3)
    amounts = np.maximum(1.0 + small / 1000.0, 0.0).astype(np.float32)  # attenuation over that of water
    amounts[small > 150] *= 1.5  # bone
    for seed in range(FIRST_SEED, FIRST_SEED + options.runs):
        pose = true_pose(whole, seed)
        pictures = _pictures(options.images, options.keep, "whole", pose, seed, pose)
        shots = [shot.coarser(8 * shot.detector.pixel_mm) for shot in pictures]
        start = start_near(pose, 1000 * seed, 20.0)
        rows, cols = np.indices((shots[0].detector.rows, shots[0].detector.cols))
        pixels = [shot.beam.pixels_mm(cols, rows, shot.detector).reshape(-1, 3) for shot in shots]
        with tempfile.TemporaryDirectory() as folder:
            np.savez(
                f"{folder}/in.npz", volume=amounts, affine=grid.affine, shots=np.stack([shot.values for shot in shots]),
                sources=np.stack([shot.beam.source_mm for shot in shots]), pixels=np.stack(pixels), start=start,
            )  # fmt: skip
            command = [options.python, "-c", DIFFDRR, f"{folder}/in.npz", f"{folder}/out.npz"]
            subprocess.run(command, check=True, timeout=3000)
            found = np.load(f"{folder}/out.npz")
            places = places_of(pose)
            seconds, cpu = found["times"]
            print(
                f"DiffDRR, start {apart_mm(start, pose, places):.1f} mm off: mTRE"
                f" {apart_mm(found['pose'], pose, places):.2f} mm, {seconds:.0f} s, {cpu:.0f} CPU s",
                flush=True,
            )


if __name__ == "__main__":
    main()
