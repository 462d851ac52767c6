#!/bin/sh
# The archiver beside zig-cc.sh.
exec "$ZIG" ar "$@"
