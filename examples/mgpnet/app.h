// The program as one function.
#pragma once

namespace mgpnet {

/// What `mgpnet --version` says about this binary.
struct Build {
  const char *version, *commit;
};

/// Runs a command line; returns the exit code (ExitCode in command.h, 130 or 143 when interrupted).
int run_app(int argc, char** argv, const Build& build);

}  // namespace mgpnet
