"""Pure Python that computes: for a view, and as a program for a process of its own."""

import json
import os
import sys


def compute(rounds: int) -> int:
    result = 0
    for number in range(rounds):
        result = (result * 31 + number) % 1_000_003
    return result


if __name__ == "__main__":
    print(json.dumps({"process": os.getpid(), "result": compute(int(sys.argv[1]))}))
