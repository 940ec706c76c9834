/* bindings.localstorage: an output binding that keeps files in one folder.
 *
 * Nothing outside of the folder is reached, whatever a call names (root.h). File systems block, so
 * the operations run in a session (connectors/session.h).
 *
 * Thread: the loop's, as connectors/connector.h says.
 */
#ifndef CN_LOCALSTORAGE_H
#define CN_LOCALSTORAGE_H

#include "connectors/connector.h"

extern const struct connector_type cn_localstorage_type;

#endif
