"""Runs a worker and writes down what passes: `record.py FILE PYTHON SCRIPT`. `>` is to the worker, `<` from it."""
import os
import subprocess
import sys
import threading

record = open(sys.argv[1], "a", buffering=1, encoding="utf-8")
worker = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def pass_on(source, target, mark):
    for line in source:
        record.write("%s %s" % (mark, line.decode("utf-8")))
        target.write(line)
        target.flush()
    target.close()


to_worker = threading.Thread(target=pass_on, args=(sys.stdin.buffer, worker.stdin, ">"), daemon=True)
to_worker.start()
pass_on(worker.stdout, sys.stdout.buffer, "<")
os._exit(worker.wait())
