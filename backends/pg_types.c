/* SPDX-License-Identifier: MIT */
#include "backends/pg_types.h"

#include <catalog/pg_type_d.h>
#include <stddef.h>

/*
 * From pg_type of a server of version 15, sorted by OID. A timestamptz is not
 * plain: outside DateStyle ISO it ends in the name of the time zone, and that
 * may hold a comma or a quote (SET timezone = '<a,b>5').
 */
static const struct pg_type types[] = {
	{"bool", 16, true},
	{"bytea", 17, false},
	{"char", 18, false},
	{"name", 19, false},
	{"int8", 20, true},
	{"int2", 21, true},
	{"int2vector", 22, false},
	{"int4", 23, true},
	{"regproc", 24, false},
	{"text", 25, false},
	{"oid", 26, true},
	{"tid", 27, false},
	{"xid", 28, false},
	{"cid", 29, false},
	{"oidvector", 30, false},
	{"json", 114, false},
	{"xml", 142, false},
	{"xml[]", 143, false},
	{"pg_node_tree", 194, false},
	{"json[]", 199, false},
	{"xid8[]", 271, false},
	{"point", 600, false},
	{"lseg", 601, false},
	{"path", 602, false},
	{"box", 603, false},
	{"polygon", 604, false},
	{"line", 628, false},
	{"line[]", 629, false},
	{"cidr", 650, false},
	{"cidr[]", 651, false},
	{"float4", 700, true},
	{"float8", 701, true},
	{"unknown", 705, false},
	{"circle", 718, false},
	{"circle[]", 719, false},
	{"macaddr8", 774, false},
	{"macaddr8[]", 775, false},
	{"money", 790, false},
	{"money[]", 791, false},
	{"macaddr", 829, false},
	{"inet", 869, false},
	{"bool[]", 1000, false},
	{"bytea[]", 1001, false},
	{"char[]", 1002, false},
	{"name[]", 1003, false},
	{"int2[]", 1005, false},
	{"int2vector[]", 1006, false},
	{"int4[]", 1007, false},
	{"regproc[]", 1008, false},
	{"text[]", 1009, false},
	{"tid[]", 1010, false},
	{"xid[]", 1011, false},
	{"cid[]", 1012, false},
	{"oidvector[]", 1013, false},
	{"bpchar[]", 1014, false},
	{"varchar[]", 1015, false},
	{"int8[]", 1016, false},
	{"point[]", 1017, false},
	{"lseg[]", 1018, false},
	{"path[]", 1019, false},
	{"box[]", 1020, false},
	{"float4[]", 1021, false},
	{"float8[]", 1022, false},
	{"polygon[]", 1027, false},
	{"oid[]", 1028, false},
	{"aclitem", 1033, false},
	{"aclitem[]", 1034, false},
	{"macaddr[]", 1040, false},
	{"inet[]", 1041, false},
	{"bpchar", 1042, false},
	{"varchar", 1043, false},
	{"date", 1082, true},
	{"time", 1083, true},
	{"timestamp", 1114, true},
	{"timestamp[]", 1115, false},
	{"date[]", 1182, false},
	{"time[]", 1183, false},
	{"timestamptz", 1184, false},
	{"timestamptz[]", 1185, false},
	{"interval", 1186, false},
	{"interval[]", 1187, false},
	{"numeric[]", 1231, false},
	{"cstring[]", 1263, false},
	{"timetz", 1266, true},
	{"timetz[]", 1270, false},
	{"bit", 1560, false},
	{"bit[]", 1561, false},
	{"varbit", 1562, false},
	{"varbit[]", 1563, false},
	{"numeric", 1700, true},
	{"refcursor", 1790, false},
	{"refcursor[]", 2201, false},
	{"regprocedure", 2202, false},
	{"regoper", 2203, false},
	{"regoperator", 2204, false},
	{"regclass", 2205, false},
	{"regtype", 2206, false},
	{"regprocedure[]", 2207, false},
	{"regoper[]", 2208, false},
	{"regoperator[]", 2209, false},
	{"regclass[]", 2210, false},
	{"regtype[]", 2211, false},
	{"record", 2249, false},
	{"cstring", 2275, false},
	{"void", 2278, false},
	{"record[]", 2287, false},
	{"txid_snapshot[]", 2949, false},
	{"uuid", 2950, true},
	{"uuid[]", 2951, false},
	{"txid_snapshot", 2970, false},
	{"pg_lsn", 3220, false},
	{"pg_lsn[]", 3221, false},
	{"pg_ndistinct", 3361, false},
	{"pg_dependencies", 3402, false},
	{"tsvector", 3614, false},
	{"tsquery", 3615, false},
	{"gtsvector", 3642, false},
	{"tsvector[]", 3643, false},
	{"gtsvector[]", 3644, false},
	{"tsquery[]", 3645, false},
	{"regconfig", 3734, false},
	{"regconfig[]", 3735, false},
	{"regdictionary", 3769, false},
	{"regdictionary[]", 3770, false},
	{"jsonb", 3802, false},
	{"jsonb[]", 3807, false},
	{"int4range", 3904, false},
	{"int4range[]", 3905, false},
	{"numrange", 3906, false},
	{"numrange[]", 3907, false},
	{"tsrange", 3908, false},
	{"tsrange[]", 3909, false},
	{"tstzrange", 3910, false},
	{"tstzrange[]", 3911, false},
	{"daterange", 3912, false},
	{"daterange[]", 3913, false},
	{"int8range", 3926, false},
	{"int8range[]", 3927, false},
	{"jsonpath", 4072, false},
	{"jsonpath[]", 4073, false},
	{"regnamespace", 4089, false},
	{"regnamespace[]", 4090, false},
	{"regrole", 4096, false},
	{"regrole[]", 4097, false},
	{"regcollation", 4191, false},
	{"regcollation[]", 4192, false},
	{"int4multirange", 4451, false},
	{"nummultirange", 4532, false},
	{"tsmultirange", 4533, false},
	{"tstzmultirange", 4534, false},
	{"datemultirange", 4535, false},
	{"int8multirange", 4536, false},
	{"pg_brin_bloom_summary", 4600, false},
	{"pg_brin_minmax_multi_summary", 4601, false},
	{"pg_mcv_list", 5017, false},
	{"pg_snapshot", 5038, false},
	{"pg_snapshot[]", 5039, false},
	{"xid8", 5069, false},
	{"int4multirange[]", 6150, false},
	{"nummultirange[]", 6151, false},
	{"tsmultirange[]", 6152, false},
	{"tstzmultirange[]", 6153, false},
	{"datemultirange[]", 6155, false},
	{"int8multirange[]", 6157, false},
};

const struct pg_type *pg_type_find(uint32_t oid)
{
	size_t low = 0;
	size_t high = sizeof(types) / sizeof(types[0]);

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (types[middle].oid == oid)
			return &types[middle];
		if (types[middle].oid < oid)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

enum db_shape pg_type_shape(uint32_t oid)
{
	switch (oid) {
	case INT2OID:
	case INT4OID:
	case INT8OID:
	case OIDOID:
	case FLOAT4OID:
	case FLOAT8OID:
	case NUMERICOID:
		return DB_SHAPE_NUMBER;
	case BOOLOID:
		return DB_SHAPE_BOOL;
	case JSONOID:
	case JSONBOID:
		return DB_SHAPE_JSON;
	default:
		return DB_SHAPE_TEXT;
	}
}
