/* The order in which the threads take steps and phases, forwards and back. What a step is, the cells' functions know. */
#include "table.h"

/* Each phase of a step, and then a barrier if the threads share its units: the next one sees what all have made. */
static void take_step(struct fl_walk *walks, int phases, ptrdiff_t t, const struct fl_segment *segment, struct fl_team *team) {
    for (int k = 0; k < phases; k++) {
        walks[k].step(&walks[k], t);
        if (segment->by_units) fl_barrier(team);
    }
}

void fl_forward(void *argument, int thread, struct fl_team *team) {
    struct fl_pass *first = argument;
    const struct fl_segment *end = first->segments + first->segment_count;
    struct fl_walk walks[FL_PHASES];
    for (const struct fl_segment *segment = first->segments; segment < end; segment++) {
        int phases = 0;
        for (struct fl_pass *p = first; p; p = p->then, phases++) p->cell->begin(&walks[phases], p, segment, thread, team);
        for (ptrdiff_t t = segment->first; t < segment->last; t++) {
            take_step(walks, phases, t, segment, team);
            if (team->size == 1) fl_reach(&first->done, t + 1);
        }
        if (!segment->by_units && segment + 1 < end) fl_barrier(team);
    }
}

void fl_backward_through_time(void *argument, int thread, struct fl_team *team) {
    const struct fl_backward *first = argument, *p;
    struct fl_walk walks[FL_PHASES];
    for (p = first; p; p = p->then) p->cell->backward->transpose(p, thread, team);
    fl_barrier(team);
    for (const struct fl_segment *segment = first->segments + first->segment_count; segment-- > first->segments;) {
        const int add = first->later || segment + 1 < first->segments + first->segment_count;
        int phases = 0;
        for (p = first; p; p = p->then, phases++) p->cell->backward->begin(&walks[phases], p, segment, thread, team);
        for (ptrdiff_t t = segment->last; t-- > segment->first;) take_step(walks, phases, t, segment, team);
        if (!segment->by_units) fl_barrier(team);
        for (p = first; p; p = p->then) p->cell->backward->gather(p, segment, thread, team);
        fl_barrier(team);
        for (p = first; p && !first->frozen; p = p->then) p->cell->backward->add(p, segment, add, thread, team);
    }
    if (first->initial) first->cell->backward->initial(first, thread, team);
    if (first->frozen || !first->dw) return;
    fl_barrier(team);
    for (p = first; p; p = p->then) p->cell->backward->deliver(p, thread, team);
}
