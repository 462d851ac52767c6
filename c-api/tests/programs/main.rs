//! Programs in C, C++ and Python that use the library, as their authors would build and run them.
//!
//! The examples are run as a reader copies them. The folder `c-api/tests/c` has programs that
//! misuse the library, end its waits from outside, die as documented and storm it with signals. A C
//! compiler is asked for; what else is missing is said and skipped.

mod build;
mod c;
mod cpp;
mod install;
mod python;
mod symbols;
