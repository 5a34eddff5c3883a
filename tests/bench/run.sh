#!/usr/bin/env bash
# All benchmarks, one after the other: each file beside this one is a program that prints its figures.
set -eu
cd "$(dirname "$0")"
for b in ./*.sh; do
	[ "$b" = ./run.sh ] && continue
	printf '== %s\n' "$(basename "$b" .sh)"
	"$b"
done
