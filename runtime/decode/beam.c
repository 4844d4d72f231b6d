/* The prefix beam search of beam.py over one line, with the same arithmetic: see there for what it does and why.
 *
 * Optional: beam.py calls it by ctypes where it was compiled, and is as right, but slower, without it.
 * Plain C99 and libm; it allocates its own memory, keeps none, and may run in several threads at once.
 */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#define EXPORT __declspec(dllexport)
#else
#define EXPORT
#endif

#define NEVER (-1e30f)
#define ROOT_HASH 0u
#define NO_PARENT 1u
#define MIX 0x9E3779B97F4A7C15ull

/* An n-gram as ngram.py opens it: nodes of a trie, node 0 the root; the children of one stand side by side. */
typedef struct {
    const uint32_t *first;     /* of each node its first child; that of the next one ends them */
    const uint8_t *characters; /* of nodes 1, 2, ...: the code of the last one, rising among children */
    const float *logs, *backoff_logs;
    const uint32_t *suffixes, *next;
    float unknown_log;
} Ngram;

typedef struct {
    int32_t frames, classes, blank, width, candidates;
    float unlikely, behind, weight, bonus;
    uint32_t start; /* state of the n-gram before the first character */
} Search;

typedef struct {
    float blank, inked, whole, language, score, peak;
    int32_t length, last, peak_step;
    uint32_t state;
    uint64_t prefix, parent;
    int32_t source, added, before; /* where it came from in the step before: index, class or -1, that one's peak step */
} Hypothesis;

typedef struct {
    int32_t source, added, before;
    uint32_t state;
} Link;

static float log_add(float a, float b) {
    return a > b ? a + log1pf(expf(b - a)) : b + log1pf(expf(a - b));
}

static float language_log(const Ngram *ngram, uint32_t state, uint32_t code, uint32_t *after) {
    float log = 0.0f;
    *after = 0;
    for (;;) {
        uint32_t low = ngram->first[state], end = ngram->first[state + 1], high = end;
        while (low < high) {
            uint32_t middle = (low + high) / 2;
            if (ngram->characters[middle - 1] < code) low = middle + 1;
            else high = middle;
        }
        if (low < end && ngram->characters[low - 1] == code) {
            *after = ngram->next[low];
            return log + ngram->logs[low];
        }
        if (state == 0) return ngram->unknown_log;
        log += ngram->backoff_logs[state];
        state = ngram->suffixes[state];
    }
}

static float scored(const Search *search, float ctc, float language, int32_t length) {
    return ctc + search->weight * language + search->bonus * (float)length;
}

/* The classes most probable at a frame, at most `candidates`, in falling order; returns how many. */
static int most_probable(const Search *search, const float *frame, int32_t *found) {
    int count = 0;
    for (int32_t c = 0; c < search->classes; c++) {
        if (c == search->blank || frame[c] <= search->unlikely) continue;
        int place = count < search->candidates ? count++ : search->candidates;
        while (place > 0 && frame[found[place - 1]] < frame[c]) {
            if (place < search->candidates) found[place] = found[place - 1];
            place--;
        }
        if (place < search->candidates) found[place] = c;
    }
    return count;
}

/* Puts the `width` best in front, in no order. */
static int best(Hypothesis *all, int count, int width) {
    for (int i = 0; i < width && i < count; i++) {
        int top = i;
        for (int j = i + 1; j < count; j++)
            if (all[j].score > all[top].score) top = j;
        if (top != i) {
            Hypothesis other = all[i];
            all[i] = all[top];
            all[top] = other;
        }
    }
    return count < width ? count : width;
}

/* One frame: `beam` of `count` hypotheses becomes that of the next; returns its count. `next` has room for all. */
static int advance(const Search *search, const Ngram *ngram, const uint8_t *codes, const float *scales,
                   const float *frame, int gap, int32_t step, Hypothesis *beam, int count, Hypothesis *next,
                   int32_t *tried) {
    int many = most_probable(search, frame, tried), total = count;
    float top = NEVER, likeliest = NEVER;
    for (int32_t c = 0; c < search->classes; c++)
        if (frame[c] > likeliest) likeliest = frame[c];
    for (int i = 0; i < count; i++) {
        Hypothesis *from = beam + i;
        from->whole = log_add(from->blank, from->inked);
        if (gap) {
            from->blank = from->whole;
            from->inked = NEVER;
        }
        if (from->whole > top) top = from->whole;
        next[i] = *from;
        next[i].blank = from->whole + frame[search->blank];
        next[i].inked = from->last == search->blank ? NEVER : from->inked + frame[from->last];
        next[i].source = i;
        next[i].added = -1;
        next[i].before = from->peak_step;
        if (frame[from->last] > from->peak) {
            next[i].peak = frame[from->last];
            next[i].peak_step = step;
        }
    }
    for (int i = 0; i < count; i++) {
        for (int k = 0; k < many; k++) {
            int32_t class = tried[k];
            float ctc = (class == beam[i].last ? beam[i].blank : beam[i].whole) + frame[class];
            int child = 0;
            while (child < count && (beam[child].parent != beam[i].prefix || beam[child].last != class)) child++;
            if (child < count) { /* that text is a hypothesis already */
                next[child].inked = log_add(next[child].inked, ctc);
                continue;
            }
            if (!(ctc > top + likeliest - search->behind)) continue;
            Hypothesis *grown = next + total++;
            *grown = beam[i];
            grown->blank = NEVER;
            grown->inked = ctc;
            if (ngram)
                grown->language += scales[class] * language_log(ngram, beam[i].state, codes[class], &grown->state);
            grown->length++;
            grown->last = class;
            grown->parent = beam[i].prefix;
            grown->prefix = (beam[i].prefix + (uint64_t)class + 1) * MIX;
            grown->prefix ^= grown->prefix >> 29;
            grown->source = i;
            grown->added = class;
            grown->before = beam[i].peak_step;
            grown->peak = frame[class];
            grown->peak_step = step;
        }
    }
    for (int i = 0; i < total; i++)
        next[i].score = scored(search, log_add(next[i].blank, next[i].inked), next[i].language, next[i].length);
    return best(next, total, search->width);
}

/* Finds the best text of one line.
 *
 * logs        ln p [frames, classes] of the frames that are searched
 * gaps        [frames], whether sure blanks came before the frame
 * ngram       NULL: none
 * codes, scales
 *             [classes]: the code in the n-gram, and how much of its ln p counts
 * found, peaks, states
 *             room for `frames` values: the class of each character, the frame of its peak, the n-gram's state after it
 *
 * Returns the number of characters, or -1 when memory ran out.
 */
EXPORT int32_t htrjand_beam(const Search *search, const float *logs, const uint8_t *gaps, const Ngram *ngram,
                            const uint8_t *codes, const float *scales, int32_t *found, int32_t *peaks,
                            uint32_t *states) {
    size_t room = (size_t)search->width * (1 + (size_t)search->candidates), frames = (size_t)search->frames;
    Hypothesis *beam = malloc(room * sizeof *beam), *next = malloc(room * sizeof *next), *other;
    Link *links = malloc(frames * (size_t)search->width * sizeof *links);
    int32_t *tried = malloc(((size_t)search->candidates + 1) * sizeof *tried), length = -1, step;
    int count = 1, chosen = 0;
    if (beam && next && links && tried) {
        memset(beam, 0, sizeof *beam);
        beam->inked = beam->peak = NEVER;
        beam->last = search->blank;
        beam->state = search->start;
        beam->prefix = ROOT_HASH;
        beam->parent = NO_PARENT;
        for (step = 0; step < search->frames; step++) {
            count = advance(search, ngram, codes, scales, logs + (size_t)step * (size_t)search->classes, gaps[step],
                            step, beam, count, next, tried);
            for (int i = 0; i < count; i++)
                links[(size_t)step * (size_t)search->width + (size_t)i] =
                    (Link){next[i].source, next[i].added, next[i].before, next[i].state};
            other = beam;
            beam = next;
            next = other;
        }
        for (int i = 1; i < count; i++)
            if (beam[i].score > beam[chosen].score) chosen = i;
        length = beam[chosen].length;
        int32_t place = length, peak = beam[chosen].peak_step;
        for (step = search->frames - 1; step >= 0; step--) {
            Link link = links[(size_t)step * (size_t)search->width + (size_t)chosen];
            if (link.added >= 0) {
                found[--place] = link.added;
                peaks[place] = peak;
                states[place] = link.state;
                peak = link.before;
            }
            chosen = link.source;
        }
    }
    free(beam);
    free(next);
    free(links);
    free(tried);
    return length;
}

/* ln p of all n-grams that hold a character, when others stand in its place: see `said` of confidence.py.
 *
 * codes, scales, before, ends
 *             of each character of some lines: its code, how much of its ln p counts, the n-gram's state before it, where
 *             its line ends
 * order       characters of the longest n-grams
 * place, other, other_scales
 *             of each of `tried` replacements: the character that it replaces, the code that stands there now, its scale
 * said        gets the sum, of each replacement
 */
EXPORT void htrjand_said(const Ngram *ngram, const uint8_t *codes, const float *scales, const uint32_t *before,
                         const int64_t *ends, int32_t order, int32_t tried, const int64_t *place, const uint8_t *other,
                         const float *other_scales, float *said) {
    for (int32_t i = 0; i < tried; i++) {
        int64_t at = place[i];
        uint32_t state;
        said[i] = other_scales[i] * language_log(ngram, before[at], other[i], &state);
        for (int64_t ahead = at + 1; ahead < at + order && ahead < ends[at]; ahead++)
            said[i] += scales[ahead] * language_log(ngram, state, codes[ahead], &state);
    }
}
