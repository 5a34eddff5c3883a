#include "engine/column.h"

const char *coltype_name(enum coltype t)
{
	static const char *const names[] = {
		[COL_BIGINT] = "bigint",   [COL_DOUBLE] = "double",       [COL_BOOLEAN] = "boolean",
		[COL_VARCHAR] = "varchar", [COL_TIMESTAMP] = "timestamp",
	};
	return coltype_known(t) ? names[t] : "unknown";
}
