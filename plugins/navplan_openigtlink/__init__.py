"""OpenIGTLink: poses from a tracker, images and plans from and to 3D Slicer, PLUS and others, over TCP.

    I want to                             it is in
    follow a tracker                      tracker (entry point `openigtlink`), client, poses
    send a plan or poses to others        server, plan_messages
    read or write messages as bytes       codec, messages
    know one message's layout             header, and the modules *_bodies and *_body

Written from the protocol's description (github.com/openigtlink/OpenIGTLink, Documents/Protocol, versions 1 to 3).
Python and numpy alone. Lengths in mm, times in s. Images, points, lines and meshes are LPS here, whatever they are on
the wire; poses and transforms are passed on as they come.
"""
