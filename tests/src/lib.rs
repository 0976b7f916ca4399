//! End-to-end tests: real server process, real devices, faults between them.
