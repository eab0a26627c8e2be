"""Searches faiss's binary flat index, one thread, once for each line on standard input; answers in JSON.

Arguments: rows, bits, k. Standard input: the query's bytes, the rows' bytes, then the lines.
Needs faiss-cpu and numpy (both on PyPI). Started by scan_peers.rs.
"""

import json
import sys
import time

import faiss
import numpy

rows, bits, k = (int(argument) for argument in sys.argv[1:])
faiss.omp_set_num_threads(1)
query = numpy.frombuffer(sys.stdin.buffer.read(bits // 8), dtype=numpy.uint8).reshape(1, -1)
matrix = numpy.frombuffer(sys.stdin.buffer.read(rows * bits // 8), dtype=numpy.uint8).reshape(rows, -1)
index = faiss.IndexBinaryFlat(bits)
index.add(matrix)
for _ in sys.stdin.buffer:
    started = time.perf_counter()
    distances, found = index.search(query, k)
    seconds = time.perf_counter() - started
    answer = {"seconds": seconds, "distances": distances[0].tolist(), "rows": found[0].tolist()}
    print(json.dumps(answer), flush=True)
