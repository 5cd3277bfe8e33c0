# Makes a C array of a text.
s/\\/\\\\/g
s/"/\\"/g
s/.*/	"&\\n"/
1i\
#include "fs/sql_tool.h"\
\
const char sql_script[] =
$a\
	;
