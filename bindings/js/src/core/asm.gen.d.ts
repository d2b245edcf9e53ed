/** Starts the core without WebAssembly: returns what the module exports. Each call has a memory of its own. */
export declare function start(): unknown;
