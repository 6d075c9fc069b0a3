"""Another implementation on the other side: pyigtl as client of our server, and our client of its server.

pyigtl 0.3.4 reads TRANSFORM, IMAGE, STRING, POINT, sends POLYDATA as well, and has a POSITION of its own that is not
the protocol's (it has a POINT's fields); it has no STATUS, TDATA or TRAJ. Its points are passed on as they are on the
wire: RAS.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pyigtl
import pytest

from benchmarks.openigtlink_messages import rigid
from navplan.model.pose import PoseStatus
from navplan_openigtlink.client import Client, ClientSettings
from navplan_openigtlink.messages import (
    Image,
    Mesh,
    Message,
    Point,
    Points,
    Position,
    Status,
    Text,
    TrackedMatrix,
    TrackingData,
    Transform,
)
from navplan_openigtlink.server import Server, ServerSettings
from tests.plugins.openigtlink_waiting import HERE, collect, until

pytestmark = pytest.mark.xdist_group("pyigtl")  # its server wants the main thread and a port of its own

SETTINGS = ClientSettings(silence_s=60.0, first_pause_s=0.01, longest_pause_s=0.05, keep_messages=True)
VOXELS = np.arange(2 * 3 * 4).reshape(4, 3, 2).T  # [i, j, k]


@pytest.fixture
def their_client() -> Iterator[tuple[Server, Any]]:
    """Our server and a pyigtl client of it."""
    with closing(Server(port=0, settings=ServerSettings(keep_messages=True))) as server:
        client = pyigtl.OpenIGTLinkClient(HERE, server.port)
        until(server.clients)
        yield server, client
        client.stop()


@pytest.fixture
def their_server() -> Iterator[tuple[Any, Client]]:
    """A pyigtl server and our client of it."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    server = pyigtl.OpenIGTLinkServer(port=0, local_server=True)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    with closing(Client(HERE, server.server_address[1], settings=SETTINGS)) as client:
        until(lambda: server.is_connected() and not client.fault())
        yield server, client
    server.stop()


@pytest.fixture(params=["from their client", "from their server"])
def theirs(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """Who sends (pyigtl), and who receives (we)."""
    name = "their_client" if request.param == "from their client" else "their_server"
    one, other = request.getfixturevalue(name)
    return (other, one) if name == "their_client" else (one, other)


def receive(theirs: tuple[Any, Any], sent: Any) -> Message:
    sender, receiver = theirs
    assert sender.send_message(sent)
    (came,) = collect(receiver, 1)
    assert came.message.device == sent.device_name and came.message.sent_s == pytest.approx(sent.timestamp, abs=1e-6)
    return came.message


@pytest.mark.parametrize("version", [1, 2])
def test_their_transform(theirs: tuple[Any, Any], version: int):
    matrix = rigid(np.random.default_rng(1))
    sent = pyigtl.TransformMessage(matrix, device_name="Needle")
    sent.header_version = version
    sent.metadata = {"TransformStatus": "OK"} if version == 2 else {}
    read = receive(theirs, sent)
    assert isinstance(read.content, Transform) and np.array_equal(read.content.matrix, matrix)
    assert read.version == version and read.metadata == sent.metadata


def test_their_transform_is_a_pose(their_server: tuple[Any, Client]):
    sender, client = their_server
    matrix = rigid(np.random.default_rng(2))
    sender.send_message(pyigtl.TransformMessage(matrix, device_name="NeedleToTracker"))
    (pose,) = collect(client, 1, "poses")
    assert pose.status is PoseStatus.OK and pose.frame == "tracker" and np.array_equal(pose.matrix, matrix)


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"])
@pytest.mark.parametrize("frame", ["ras", "lps"])
def test_their_image(their_client: tuple[Server, Any], kind: str, frame: str):
    server, client = their_client
    affine = rigid(np.random.default_rng(3)) @ np.diag([0.5, 2.0, 3.0, 1.0])
    sent = pyigtl.ImageMessage(VOXELS.T.astype(kind), affine, frame, device_name="ct")
    read = receive((client, server), sent).content
    assert isinstance(read, Image) and read.voxels.dtype == np.dtype(kind) and np.array_equal(read.voxels, VOXELS)
    expected = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine if frame == "ras" else affine
    assert np.allclose(read.affine, expected, atol=1e-3) and read.ras == (frame == "ras")


def test_their_image_of_colours(theirs: tuple[Any, Any]):
    colours = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
    read = receive(theirs, pyigtl.ImageMessage(colours, device_name="us")).content
    assert isinstance(read, Image) and read.voxels.shape == (4, 3, 2, 3)
    assert read.voxels[1, 2, 0].tolist() == colours[0, 2, 1].tolist()


def test_their_string(theirs: tuple[Any, Any]):
    assert receive(theirs, pyigtl.StringMessage("go on", device_name="talk")).content == Text("go on")


def test_their_points(theirs: tuple[Any, Any]):
    sent = pyigtl.PointMessage([[1, 2, 3], [-4, 5, 6]], ["a", "b"], [255, 0, 0, 255], 2.5, device_name="marks")
    read = receive(theirs, sent).content
    assert read == Points((
        Point("a", (-1, -2, 3), "", (255, 0, 0, 255), 2.5), Point("b", (4, -5, 6), "", (255, 0, 0, 255), 2.5),
    ))  # fmt: skip


def test_their_polygons(theirs: tuple[Any, Any]):
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=np.float32)
    faces = np.array([3, 0, 1, 2, 3, 0, 1, 3])
    read = receive(theirs, pyigtl.PolyDataMessage(points=corners, polygons=faces, device_name="skin")).content
    assert isinstance(read, Mesh) and read.triangles.tolist() == [[0, 1, 2], [0, 1, 3]]
    assert np.array_equal(read.points_mm, corners * (-1, -1, 1))


def test_their_position_is_not_the_protocol_s_and_is_refused(their_client: tuple[Server, Any]):
    server, client = their_client
    client.send_message(pyigtl.PositionMessage([1, 2, 3], [0, 0, 0, 1], device_name="Needle"))
    assert "POSITION with 152 bytes" in until(server.let_go)[0][1]


@pytest.fixture(params=["to their client", "to their server"])
def ours(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """Who sends (we), and who receives (pyigtl)."""
    name = "their_client" if request.param == "to their client" else "their_server"
    one, other = request.getfixturevalue(name)
    return (one, other) if name == "their_client" else (other, one)


def deliver(ours: tuple[Any, Any], sent: Message) -> Any:
    sender, receiver = ours
    assert sender.send(sent)
    return receiver.wait_for_message(sent.device, timeout=20)


@pytest.mark.parametrize("version", [1, 2])
def test_our_transform(ours: tuple[Any, Any], version: int):
    matrix = rigid(np.random.default_rng(4))
    extra = {"TransformStatus": "OK", "who": "Müller"} if version == 2 else {}
    read = deliver(ours, Message(Transform(matrix), "Needle", 5 << 31, version, metadata=extra))
    assert np.array_equal(read.matrix, matrix) and read.timestamp == 2.5 and read.metadata == extra


@pytest.mark.parametrize("ras", [True, False])
@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"])
def test_our_image(their_client: tuple[Server, Any], kind: str, ras: bool):
    affine = rigid(np.random.default_rng(5)) @ np.diag([0.5, 2.0, 3.0, 1.0])
    read = deliver(their_client, Message(Image(VOXELS.astype(kind), affine, ras=ras), "ct"))
    assert np.array_equal(read.image, VOXELS.T) and read.image.dtype == np.dtype(kind)
    assert read.world_coordinate_system == ("ras" if ras else "lps")
    expected = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine if ras else affine
    assert np.allclose(read.ijk_to_world_matrix, expected, atol=1e-3)


def test_our_string_and_points(ours: tuple[Any, Any]):
    assert deliver(ours, Message(Text("größer"), "talk")).string == "größer"
    read = deliver(ours, Message(Points((Point("tip", (1.0, 2.0, 3.0), "Fiducial", diameter_mm=2.0),)), "marks"))
    assert (read.names, read.positions, read.diameters, read.groups) == (["tip"], [(-1, -2, 3)], [2.0], ["Fiducial"])


def test_what_they_do_not_know_they_skip(ours: tuple[Any, Any]):
    sender, _ = ours
    for content in (Status(1), TrackingData((TrackedMatrix("a", np.eye(4)),)), Position((1, 2, 3), (0, 0, 0, 1))):
        assert sender.send(Message(content, "skipped"))
    assert deliver(ours, Message(Text("still here"), "talk")).string == "still here"
