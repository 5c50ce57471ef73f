// The umbrella header: #include <satin/satin.h>.
#pragma once
