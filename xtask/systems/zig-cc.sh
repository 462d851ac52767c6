#!/bin/sh
# Compiles and links C, and links Rust, for $ZIG_TARGET. $ZIG is the program. The headers and the
# lists of symbols of many systems come with it, and an unknown symbol is an error.
#
# Rust's linker arguments are those for the system's own compiler. Some name libraries that do not
# come with zig and of which std needs nothing that the tests reach; the unwinder has another name;
# and the names of systems differ between the two.
set -eu
for argument; do
    shift
    case $argument in
    -m64 | -lgcc | -lcompiler_rt | -lkvm | -lmemstat | -lprocstat | -ldevstat) continue ;;
    --target=* | -Wl,--eh-frame-hdr) continue ;;
    -lgcc_s | -lgcc_eh) argument=-lunwind ;;
    esac
    set -- "$@" "$argument"
done
exec "$ZIG" cc -target "$ZIG_TARGET" "$@"
