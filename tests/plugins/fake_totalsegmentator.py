"""A program that behaves as TotalSegmentator's command line does, without a network: labels by thresholds.

Options, printed lines and the label table in the NIfTI header: TotalSegmentator 2.18.0, bin/TotalSegmentator.py,
nnunet.py and nifti_ext_header.py. It reads and writes NIfTI by itself, so that navplan is not checked by navplan.
FAKE_MODE says what goes wrong, FAKE_OUTPUT a label map to give back, FAKE_NOTES a file for what it was called with.
"""

import argparse
import gzip
import json
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

NAMES = {1: "spleen", 5: "liver", 26: "vertebrae_S1", 52: "aorta", 77: "hip_left"}
MODE = os.environ.get("FAKE_MODE", "")


def main() -> None:
    parser = argparse.ArgumentParser(prog="TotalSegmentator")
    parser.add_argument("-i", dest="input", type=Path, required="--version" not in sys.argv)
    parser.add_argument("-o", dest="output", type=Path)
    parser.add_argument("-ml", "--ml", action="store_true")
    parser.add_argument("-ta", "--task", choices=["total", "total_mr", "body"], default="total")
    parser.add_argument("-f", "--fast", action="store_true")
    parser.add_argument("-d", "--device", default="gpu")
    parser.add_argument("--version", action="version", version=os.environ.get("FAKE_VERSION", "2.18.0"))
    options = parser.parse_args()
    header, voxels = read(options.input)
    note(arguments=sys.argv[1:], pid=os.getpid(), affine=np.frombuffer(header, "<f4", 12, 280).tolist(),
         shape=list(voxels.shape), sum=int(voxels.astype(np.int64).sum()), dtype=str(voxels.dtype),
         mode=oct(options.input.parent.stat().st_mode & 0o777))  # fmt: skip
    print("\nIf you use this tool please cite: https://pubs.rsna.org/doi/10.1148/ryai.230024\n")
    print("Resampling...\n  Resampled in 0.01s")
    for part in (1, 2):
        print(f"Predicting part {part} of 2 ...")
        for step in range(5):
            bar = f"{step * 25:3d}%|{'#' * step:4s}| {step}/4 [00:00<00:00, 90.0it/s]"
            print(f"\r{bar}", end="", file=sys.stderr, flush=True)
            time.sleep(0.01)
        print(file=sys.stderr)
        if MODE == "fail":
            print("RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB", file=sys.stderr)
            sys.exit(1)
        if MODE == "hang":
            hang()
    print("Saving segmentations...")
    if MODE == "nothing":
        return
    if "FAKE_OUTPUT" in os.environ:
        options.output.write_bytes(Path(os.environ["FAKE_OUTPUT"]).read_bytes())
        return
    labels = np.zeros(voxels.shape, dtype=np.uint8)
    labels[(voxels > 0) & (voxels < 200)] = 5
    labels[voxels >= 200] = 26
    if MODE == "unnamed":
        labels[voxels < -900] = 99
    write(options.output, header, labels, {} if MODE == "no table" else NAMES)
    if MODE == "workers":
        leave_a_worker()
    print("  Saved in 0.01s")


def hang() -> None:
    """It and a worker of it go on for ever, deaf to requests to stop."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    leave_a_worker()
    while True:
        time.sleep(1)


def leave_a_worker() -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    note(worker=subprocess.Popen([sys.executable, "-c", deaf]).pid)


def note(**values: object) -> None:
    path = os.environ.get("FAKE_NOTES")
    if path:
        kept = json.loads(Path(path).read_text()) if Path(path).exists() else {}
        new = Path(path + ".new")
        new.write_text(json.dumps({**kept, **values}))
        new.replace(path)


def read(path: Path) -> tuple[bytes, np.ndarray]:
    data = path.read_bytes()
    sizes = struct.unpack_from("<8h", data, 40)[1:4]
    kind = {4: "<i2", 16: "<f4"}[struct.unpack_from("<h", data, 70)[0]]
    return data[:352], np.frombuffer(data, kind, offset=352).reshape(sizes, order="F")


def write(path: Path, header: bytes, labels: np.ndarray, names: dict[int, str]) -> None:
    table = "".join(f'<Label Key="{n}" Red="1.0" Alpha="1"><![CDATA[{name}]]></Label>\n' for n, name in names.items())
    xml = f'<?xml version="1.0"?> <CaretExtension><LabelTable>{table}</LabelTable></CaretExtension>'.encode()
    size = -(-(len(xml) + 8) // 16) * 16
    new = bytearray(header)
    struct.pack_into("<2h", new, 70, 2, 8)
    struct.pack_into("<f", new, 108, 352 + size)
    new[348] = 1
    if MODE == "shifted":
        struct.pack_into("<f", new, 292, struct.unpack_from("<f", new, 292)[0] + 1.0)
    extension = struct.pack("<2i", size, 0) + xml.ljust(size - 8, b"\0")
    data = bytes(new) + extension + labels.tobytes(order="F")
    path.write_bytes(gzip.compress(data)[:-100 if MODE == "cut" else None])


if __name__ == "__main__":
    main()
