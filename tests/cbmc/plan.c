/* SPDX-License-Identifier: MIT */
/* A request of any numbers: what is planned is safe for every number, and no loop of the planner goes on. */
#include "prove.h"
#include "safe.h"

void harness(void)
{
	struct shmb_request request;
	struct shmb_geometry geometry;
	uint64_t number;
	uint32_t areas;
	const char *why = NULL;
	int r;

	ANY(request);
	ANY(areas);
	ANY(number);
	DRAW(areas %= 8);
	DRAW(request.kind = (enum shmb_kind)draw(7));
	DRAW(request.flags = (uint32_t)draw(3));
	DRAW(request.capacity = request.kind == SHMB_KIND_FRAME || request.kind == SHMB_KIND_BLOCK ? 0 : 1u << draw(22));
	DRAW(request.history = request.kind == SHMB_KIND_FRAME ? (uint32_t)draw(5000) : 0);
	DRAW(request.pins = request.kind == SHMB_KIND_FRAME ? (uint32_t)draw(1100) : 0);
	DRAW(request.payload_align = 1u << draw(8));
	DRAW(request.payload_bytes >>= draw(64));
	DRAW(request.key_type = (enum shmb_key_type)draw(5));
	DRAW(request.key_field = draw(2) ? SHMB_KEY_IS_STAMP : (uint32_t)draw(64));
	r = shmb_geometry_plan(&request, areas, &geometry, &why);
	PROVE(r <= 0);
	PROVE((r == 0) == (why == NULL));
	ASSUME(r == 0);
	PROVE(geometry.data_bytes <= SHMB_DATA_MAX && geometry.data_bytes % SHMB_PAGE == 0);
	PROVE(all_lie_inside(&geometry));
	PROVE(all_lie_apart(&geometry));
	PROVE(number_stays_inside(&geometry, number));
	END();
}
