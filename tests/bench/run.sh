#!/usr/bin/env bash
# All benchmarks, one after the other: each file beside this one is a program that prints its figures.
set -eu
cd "$(dirname "$0")"
for b in ./*.sh; do
	case $b in ./run.sh | ./scale.sh) continue ;; esac # scale.sh is long: make bench-scale
	printf '== %s\n' "$(basename "$b" .sh)"
	"$b"
done
