#!/bin/sh
# Any command can be tracked. This one looks for the square root of a number by Newton's method, in awk.
set -eu
awk -v x="${1:-2}" -v steps="${2:-8}" 'BEGIN {
    guess = x
    for (i = 1; i <= steps; i++) {
        guess = (guess + x / guess) / 2
        error = guess * guess - x; if (error < 0) error = -error
        printf "step %d  guess %.12f  error %.3e\n", i, guess, error
    }
    printf "guess: %.12f\nerror: %.6e\n", guess, error > "results.yaml"
}'
