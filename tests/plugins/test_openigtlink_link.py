"""Client and server over TCP on this machine: nothing is lost, nothing waits, and a bad peer harms nobody else."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest

from benchmarks.openigtlink_messages import MAKERS, message, same
from navplan.errors import InputError
from navplan.extend import registry
from navplan.extend.contract_checks import check_tracker
from navplan.model.device import Device
from navplan.model.pose import PoseStatus
from navplan.model.trajectory import Trajectory
from navplan_openigtlink.client import Client, ClientSettings
from navplan_openigtlink.codec import TYPES, encode
from navplan_openigtlink.header import Header, write_header
from navplan_openigtlink.mailbox import Mailbox
from navplan_openigtlink.messages import (
    Capability,
    Image,
    Lines,
    Message,
    Points,
    Request,
    Status,
    Text,
    TrackedMatrix,
    TrackingData,
    Transform,
)
from navplan_openigtlink.plan_messages import plan_messages
from navplan_openigtlink.server import Server, ServerSettings
from navplan_openigtlink.tracker import OpenIGTLinkTracker, parsed
from tests.plugins.openigtlink_waiting import HERE, collect, until

QUICK = ClientSettings(silence_s=60.0, first_pause_s=0.01, longest_pause_s=0.05, stall_s=0.3, keep_messages=True)


def at(number: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[0, 3] = number
    return matrix


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(port=0, settings=ServerSettings(stall_s=0.3, keep_messages=True, body_limit=1 << 20))
    yield made
    made.close()


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    made = Client(HERE, server.port, settings=QUICK)
    until(lambda: server.clients() and not made.fault())
    yield made
    made.close()


def raw(port: int) -> socket.socket:
    made = socket.create_connection((HERE, port), timeout=20.0)
    made.settimeout(20.0)
    return made


def gone(connection: socket.socket) -> bool:
    """Whether the other side has closed, whatever it still sent."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        pass
    return True


def test_it_keeps_the_contract_of_trackers(server: Server):
    assert registry.load(registry.TRACKERS, "openigtlink").name == "openigtlink"
    assert check_tracker(OpenIGTLinkTracker, f"{HERE}:{server.port}") == []
    assert check_tracker(OpenIGTLinkTracker(), f"{HERE}:9/tdata") == []  # nobody is there


@pytest.mark.parametrize(
    "address", ["", "host", "host:", ":1", "host:0", "host:65536", "host:1x", "a b:1", "::1:5", "host:5/IMAGE", "[]:5"]
)
def test_an_address_that_is_none_is_refused(address: str):
    with pytest.raises(InputError, match="address"):
        OpenIGTLinkTracker().open(address)


def test_addresses():
    assert parsed(" plus.local:18944 ") == ("plus.local", 18944, "")
    assert parsed("[::1]:18944/tdata") == ("::1", 18944, "TDATA")


@pytest.mark.parametrize(("suffix", "asked"), [("", ["STATUS"]), ("/TDATA", ["STATUS", "TDATA"]), ("/silent", [])])
def test_a_tracker_is_asked_for_version_2_and_for_what_the_address_says(suffix: str, asked: list[str], server: Server):
    with closing(OpenIGTLinkTracker().open(f"{HERE}:{server.port}{suffix}")) as link:
        until(lambda: link.send(Message(Text("end"))))
        came = [arrival.message for arrival in collect(server, len(asked) + 1)]
    requests = [one.content for one in came[:-1]]
    assert [request.of for request in requests] == asked
    assert [one.version for one in came[:-1]] == [2, 1][: len(asked)]  # PLUS answers in the highest that it was sent


def test_poses_come_in_order_and_none_twice(server: Server, client: Client):
    for number in range(2000):
        server.send(Message(Transform(at(number)), "Needle"))
    found = collect(client, 2000, "poses")
    assert [pose.matrix[0, 3] for pose in found if pose.status is PoseStatus.OK] == list(range(2000))
    times = [pose.time_s for pose in found]
    assert times == sorted(times) and times[-1] <= time.monotonic()


def test_every_kind_goes_both_ways(server: Server, client: Client):
    random = np.random.default_rng(11)
    sent = [message(random, kind) for kind in MAKERS if kind != "request" for _ in range(5)]
    for one in sent:
        server.send(one)
    for one, came in zip(sent, collect(client, len(sent)), strict=True):
        assert same(one, came.message)
    for one in sent:
        assert client.send(one)
    for one, came in zip(sent, collect(server, len(sent)), strict=True):
        assert same(one, came.message)


def test_silence_is_told(server: Server):
    with closing(Client(HERE, server.port, settings=ClientSettings(silence_s=0.1))) as link:
        until(server.clients)
        server.send(Message(Transform(np.eye(4)), "Needle"))
        found = collect(link, 2, "poses")
        assert [pose.status for pose in found] == [PoseStatus.OK, PoseStatus.MISSING]
        assert "nothing came" in found[1].words and "nothing came" in link.fault() and link.poses() == []
        server.send(Message(Status(16, 0, "gone"), "Needle"))
        until(lambda: "gone" in link.fault())


def test_a_client_waits_for_a_server_and_finds_it_again():
    with socket.create_server((HERE, 0)) as place:
        port = place.getsockname()[1]
    with closing(Client(HERE, port, settings=QUICK)) as link:
        until(lambda: "connecting again" in link.fault())
        for number in range(3):
            with closing(Server(port=port)) as server:
                until(server.clients)
                server.send(Message(Transform(at(number)), "Needle"))
                (pose,) = collect(link, 1, "poses")
                assert pose.matrix[0, 3] == number and link.fault() == ""
            (lost,) = collect(link, 1, "poses")
            assert lost.status is PoseStatus.MISSING and lost.words in link.ends()
            assert "connecting again" in until(link.fault)
    assert link.fault() == "closed" and link.poses() == []


def test_pauses_grow():
    with socket.create_server((HERE, 0)) as place:
        port = place.getsockname()[1]
    with closing(Client(HERE, port, settings=ClientSettings(first_pause_s=0.1, longest_pause_s=0.4))) as link:
        until(lambda: "again in 0.2 s" in link.fault())
        until(lambda: "again in 0.4 s" in link.fault())


CUT = encode(Message(Transform(np.eye(4)), "Needle"))[:70]
FLIPPED = bytearray(encode(Message(Transform(np.eye(4)), "Needle")))
FLIPPED[80] ^= 4
BAD = {
    "cut": (CUT, "70|12 of 48"),
    "flipped bit": (bytes(FLIPPED), "CRC"),
    "no protocol at all": (b"GET / HTTP/1.1\r\nHost: here\r\n\r\n" * 4, "version"),
    "too large": (write_header(Header(1, "IMAGE", "", 0, 2**40, 0)), "at most"),
    "largest size": (write_header(Header(2, "IMAGE", "", 0, 2**64 - 1, 0)), "at most"),
}


@pytest.mark.parametrize("name", BAD)
def test_one_bad_client_harms_no_other(server: Server, client: Client, name: str):
    data, words = BAD[name]
    with raw(server.port) as bad:
        until(lambda: len(server.clients()) == 2)
        bad.sendall(data)
        if name == "cut":
            bad.shutdown(socket.SHUT_WR)
        for number in range(200):
            server.send(Message(Transform(at(number)), "Needle"))
        assert gone(bad)
    until(lambda: len(server.clients()) == 1)
    assert "let go of" in until(server.fault)
    ((who, why),) = server.let_go()
    assert who and any(word in why for word in words.split("|")), why
    assert server.fault() == ""
    for number in range(200, 400):
        server.send(Message(Transform(at(number)), "Needle"))
    assert [pose.matrix[0, 3] for pose in collect(client, 400, "poses")] == list(range(400))


def test_a_message_that_stops_half_way_is_given_up(server: Server, client: Client):
    with raw(server.port) as bad:
        bad.sendall(CUT)
        assert gone(bad)
    until(lambda: len(server.clients()) == 1)
    assert "stopped at 12 of 48" in server.let_go()[0][1]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_server_ends_its_connection_alone(name: str, server: Server, client: Client):
    data, _ = BAD[name]
    good = encode(Message(Transform(at(5)), "Needle"))
    with socket.create_server((HERE, 0)) as place, closing(
        Client(HERE, place.getsockname()[1], settings=QUICK)
    ) as link:  # fmt: skip
        connection, _ = place.accept()
        with connection:
            connection.sendall(good + data)
            if name == "cut":
                connection.shutdown(socket.SHUT_WR)
            assert gone(connection)
        again, _ = place.accept()
        with again:
            again.sendall(good)
            statuses = [pose.status for pose in collect(link, 3, "poses")]
            assert statuses == [PoseStatus.OK, PoseStatus.MISSING, PoseStatus.OK]
            assert link.fault() == ""
    server.send(Message(Transform(at(1)), "Needle"))
    assert collect(client, 1, "poses")[0].status is PoseStatus.OK


def test_a_full_queue_says_what_was_lost(server: Server):
    with closing(Client(HERE, server.port, settings=ClientSettings(poses=10, silence_s=60))) as link:
        until(server.clients)
        for number in range(25):
            server.send(Message(Transform(at(number)), "Needle"))
        until(lambda: "15 poses were lost" in link.fault())
        assert [pose.matrix[0, 3] for pose in link.poses()] == list(range(15, 25))
        assert "15 poses were lost" in link.fault()  # whoever fetches first and asks then is told, too
        assert link.poses() == [] and link.fault() == ""


def test_a_mailbox_is_bounded_by_count_and_by_bytes():
    box: Mailbox[int] = Mailbox("things", 3, 100)
    for number, size in enumerate((40, 40, 40, 500)):
        box.put(number, size)
    assert box.take() == [3] and "3 things" in box.fault()


def test_a_client_that_does_not_fetch_is_let_go():
    settings = ServerSettings(waiting_bytes=2 << 20)
    image = Message(Image(np.zeros((256, 256, 8), np.int16), np.eye(4)), "ct")
    with closing(Server(port=0, settings=settings)) as server, raw(server.port) as lazy, closing(
        Client(HERE, server.port, settings=QUICK)
    ) as good:  # fmt: skip
        until(lambda: len(server.clients()) == 2)
        sent = 0
        while not server.let_go():
            server.send(image)
            sent += 1
            collect(good, 1)
            assert sent < 500
        until(lambda: len(server.clients()) == 1)
        assert lazy.fileno() >= 0 and good.fault() == ""


def test_clients_that_come_later_get_what_is_kept(server: Server):
    for number in (1, 2):
        server.send(Message(Text(f"plan {number}"), "plan"), keep=True)
    server.send(Message(Text("passing"), "talk"))
    server.send(Message(Text("other"), "other"), keep=True)
    server.forget("STRING", "other")
    with closing(Client(HERE, server.port, settings=QUICK)) as link:
        (came,) = collect(link, 1)
        assert came.message.content.text == "plan 2"
        link.send(Message(Request("GET", "STRING"), "plan"))
        assert collect(link, 1)[0].message.content.text == "plan 2"
        link.send(Message(Request("GET", "POINT")))
        assert collect(link, 1)[0].message.content == Request("RTS", "POINT", failed=True)
        link.send(Message(Request("GET", "CAPABILITY")))
        assert collect(link, 1)[0].message.content == Capability(TYPES)
        link.send(Message(Request("GET", "STATUS")))
        assert collect(link, 1)[0].message.content.code == 1


def test_tracking_data_starts_and_stops_as_asked(server: Server):
    tools = Message(TrackingData((TrackedMatrix("Needle", np.eye(4)),)), "Polaris")
    greeting = (Message(Request("STT", "TDATA", 60_000)),)
    with closing(Client(HERE, server.port, greeting, QUICK)) as link:
        assert collect(link, 1)[0].message.content == Request("RTS", "TDATA")
        for _ in range(5):
            server.send(tools)
        server.send(Message(Text("end")))
        assert [came.message.type for came in collect(link, 2)] == ["TDATA", "STRING"]  # one a minute
        link.send(Message(Request("STP", "TDATA")))
        assert collect(link, 1)[0].message.content == Request("RTS", "TDATA")
        assert server.send(tools) == 0


def test_too_many_clients_are_refused():
    with closing(Server(port=0, settings=ServerSettings(clients=2))) as server:
        kept = [raw(server.port) for _ in range(2)]
        until(lambda: len(server.clients()) == 2)
        with raw(server.port) as third:
            assert gone(third)
        assert "2 clients" in until(server.let_go)[0][1]
        for one in kept:
            one.close()
        until(lambda: not server.clients())


def test_a_server_listens_on_this_machine_and_says_where_it_cannot(server: Server):
    with pytest.raises(InputError, match="listening"):
        Server(port=server.port)
    with pytest.raises(InputError, match="listening"):
        Server("203.0.113.7", 0)  # an address of documentation
    assert server._socket.getsockname()[0] == HERE


def test_threads_end_with_what_they_serve():
    for _ in range(5):
        server = Server(port=0)
        link = Client(HERE, server.port)
        until(server.clients)
        link.close()
        server.close()
        server.close()
        assert server.fault() == "closed" and server.send(Message(Text("x"))) == 0
    assert not [one.name for one in threading.enumerate() if str(server.port) in one.name]


NEEDLE = Device("needle", "a needle", 18, 1.27, 150.0, throw_mm=20.0)


def test_a_plan_is_lines_points_and_a_needle(server: Server, client: Client):
    ways = (
        Trajectory((10.0, -20.0, 30.0), (10.0, 40.0, 110.0), NEEDLE, 10.0),
        Trajectory((0.0, 0.0, 100.0), (0.0, 0.0, 0.0), NEEDLE),
    )
    sent = plan_messages(ways, "navplan", "ct 1", time_s=1.5)
    for one in sent:
        server.send(one, keep=True)
    lines, points, model, needle = (came.message for came in collect(client, 4))
    assert [one.device for one in (lines, points, needle)] == ["navplan lines", "navplan points", "navplan needle"]
    assert model.content.lines.tolist() == [2, 0, 1, 2, 2, 3]
    assert np.array_equal(model.content.points_mm, [end for way in ways for end in (way.entry_mm, way.target_mm)])
    assert lines.sent_s == 1.5 and isinstance(lines.content, Lines) and isinstance(points.content, Points)
    first, second = lines.content.lines
    assert (first.entry_mm, first.target_mm, first.owner) == (ways[0].entry_mm, ways[0].target_mm, "ct 1")
    assert second.target_mm == (0.0, 0.0, 0.0) and first.colour != second.colour
    assert [point.name for point in points.content.points] == ["entry 1", "target 1", "entry 2", "target 2"]
    assert np.array_equal(needle.content.matrix[3], (0, 0, 0, 1))
    ras_from_needle = needle.content.matrix
    along, tip = np.array([0.0, 0.6, 0.8]), np.array([10.0, -20.0, 30.0]) + 90.0 * np.array([0.0, 0.6, 0.8])
    assert np.allclose(ras_from_needle[:3, 2], along * (-1, -1, 1), atol=1e-6)
    assert np.allclose(ras_from_needle[:3, 3], tip * (-1, -1, 1), atol=1e-4)
    assert np.allclose(ras_from_needle[:3, :3].T @ ras_from_needle[:3, :3], np.eye(3), atol=1e-6)
    assert np.linalg.det(ras_from_needle[:3, :3]) > 0
    on_wire = np.frombuffer(encode(lines)[58 + 102 : 58 + 126], ">f4")
    assert on_wire.tolist() == [-10, 20, 30, -10, -40, 110]  # RAS
    assert len(plan_messages(())) == 2
