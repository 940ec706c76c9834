/* The version of this tree. daprd's clients expect three numbers. */
#ifndef FL_BASE_VERSION_H
#define FL_BASE_VERSION_H

#define FL_VERSION "0.1.0"

#endif
