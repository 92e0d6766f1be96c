#!/usr/bin/env python3
"""Reads an event file that aeth_report wrote with TensorBoard's own reader, and compares it with the run's metrics.csv.

  pip install tensorboard
  aeth_report RUN --tensorboard RUN/tb && tests/oracles/tensorboard_events.py RUN/metrics.csv RUN/tb

Run by hand: TensorBoard is not needed to build or test the library.
"""
import csv
import struct
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def main():
    metrics, folder = sys.argv[1:]
    events = EventAccumulator(folder, size_guidance={"scalars": 0})
    events.Reload()
    with open(metrics) as file:
        rows = list(csv.DictReader(file))
    checked = 0
    for name in rows[0]:
        wanted = [(int(row["step"]), struct.unpack("f", struct.pack("f", float(row[name])))[0]) for row in rows if row[name]]
        if name == "step" or not wanted:
            continue
        found = [(event.step, event.value) for event in events.Scalars(name)]
        if found != wanted:
            sys.exit(f"{name}: TensorBoard reads {found[:3]}..., the file has {wanted[:3]}...")
        checked += len(found)
    print(f"{checked} numbers of {len(rows)} steps are the same")


main()
