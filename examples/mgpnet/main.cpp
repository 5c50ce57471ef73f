// The mgpnet program.  Its commit is compiled into this file alone, so that a new one costs a
// second.
#include "mgpnet/app.h"

int main(int argc, char** argv) {
  return mgpnet::run_app(argc, argv, {MGPNET_VERSION, MGPNET_COMMIT});
}
