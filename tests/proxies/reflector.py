#!/usr/bin/env python3
"""reflector.py DEVICE LOG DELAY_MS: a slow network without hosts, as a TUN device.

Each packet that leaves by the device comes back after the delay with source and destination exchanged, as from the address that it was for. So a server
of this machine answers at every address behind the device, slowly: one delay from the client to the server, another back. (The exchange leaves the
checksums right: they are sums.) LOG gets a line for the first SYN of each attempt: milliseconds of the monotonic clock, and the address.
"""
import fcntl
import heapq
import ipaddress
import os
import select
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN_NO_PI = 0x1001


def exchange(packet):
    """The packet with its addresses exchanged, where it was for, and whether it begins a connection; None if it is no TCP."""
    version = packet[0] >> 4
    start, size, header, protocol = (12, 4, (packet[0] & 15) * 4, packet[9]) if version == 4 else (8, 16, 40, packet[6])
    if protocol != 6:
        return None
    source, target = packet[start:start + size], packet[start + size:start + 2 * size]
    back = packet[:start] + target + source + packet[start + 2 * size:]
    flags = packet[header + 13]
    return back, str(ipaddress.ip_address(target)), flags & 0x12 == 0x02, packet[header:header + 2]


def main():
    device, log, delay = sys.argv[1], open(sys.argv[2], "a", buffering=1), float(sys.argv[3]) / 1000
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TUN_NO_PI))
    waiting, count, known = [], 0, set()
    print("ready", file=log)
    while True:
        pause = max(0, waiting[0][0] - time.monotonic()) if waiting else None
        if select.select([tun], [], [], pause)[0]:
            now = time.monotonic()
            back = exchange(os.read(tun, 65536))
            if back is not None:
                count += 1
                heapq.heappush(waiting, (now + delay, count, back[0]))
                if back[2] and (back[1], back[3]) not in known:
                    known.add((back[1], back[3]))
                    print(int(now * 1000), back[1], file=log)
        while waiting and waiting[0][0] <= time.monotonic():
            os.write(tun, heapq.heappop(waiting)[2])


main()
