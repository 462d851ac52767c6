// Options for a runtime in this mode, with everything else as it is by default.
static inline gosched_options gosched_options_of(uint32_t mode) {
    gosched_options options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.abi = GOSCHED_ABI;
    options.mode = mode;
    return options;
}

// Options for a goroutine, with everything as it is by default.
static inline gosched_go_options gosched_go_options_of(void) {
    gosched_go_options options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    return options;
}

#endif
