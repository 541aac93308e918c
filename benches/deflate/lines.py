"""lines.py SIZE: prints JSON messages of about that many bytes, one a line, the same each time: ticks of a market, one or many to a message."""

import json
import random
import sys

size = int(sys.argv[1])
random.seed(7)
symbols = ["MSFT", "AAPL", "NVDA", "AMZN", "GOOG", "TSLA", "META", "INTC"]
clock = 1_790_000_000_000


def tick():
    global clock
    clock += random.randrange(1, 900)
    price = random.randrange(10_000, 90_000)
    return {
        "type": "tick", "symbol": random.choice(symbols), "time": clock, "bid": price / 100, "ask": (price + random.randrange(1, 9)) / 100,
        "volume": random.randrange(1, 5000) * 100, "exchange": random.choice(["NYSE", "NASDAQ", "ARCA"]), "id": f"{random.getrandbits(64):016x}",
        "flags": random.sample(["odd-lot", "extended", "regular", "late"], 2),
    }


for _ in range(2000 if size < 10_000 else 60):
    message = tick() if size < 400 else [tick()]
    while len(json.dumps(message)) < size - 200:
        message.append(tick())
    print(json.dumps(message))
