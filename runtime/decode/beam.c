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

/* What a frame is searched in. */
typedef struct {
    Hypothesis *next;  /* width * (1 + candidates) */
    int32_t *places;   /* as many: of the best of them */
    int32_t *tried;    /* candidates + 1: classes */
    uint8_t *there;    /* width * candidates: whether a hypothesis with a class behind it is one already */
} Work;

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

/* Puts the places of the `width` best scores in front, in no order (Hoare's selection). */
static int best(const Hypothesis *all, int32_t *places, int count, int width) {
    int low = 0, high = count - 1;
    for (int i = 0; i < count; i++) places[i] = i;
    if (count <= width) return count;
    while (low < high) {
        float pivot = all[places[(low + high) / 2]].score;
        int i = low, j = high;
        while (i <= j) {
            while (all[places[i]].score > pivot) i++;
            while (all[places[j]].score < pivot) j--;
            if (i <= j) {
                int32_t other = places[i];
                places[i++] = places[j];
                places[j--] = other;
            }
        }
        if (width - 1 <= j) high = j;
        else if (width - 1 >= i) low = i;
        else break;
    }
    return width;
}

/* One frame, in place: `beam` of `count` hypotheses becomes that of the next; returns its count. `work` has the room. */
static int advance(const Search *search, const Ngram *ngram, const uint8_t *codes, const float *scales,
                   const float *frame, int gap, int32_t step, Hypothesis *beam, int count, const Work *work) {
    int32_t *tried = work->tried, *places = work->places;
    Hypothesis *next = work->next;
    int many = most_probable(search, frame, tried), total = count;
    float top = NEVER, likeliest = NEVER, least = 2 * NEVER;
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
    /* Texts that another one grows into are hypotheses already, and take what that brings. */
    memset(work->there, 0, (size_t)count * (size_t)many);
    for (int child = 0; child < count; child++) {
        int k = 0, i = 0;
        while (k < many && tried[k] != beam[child].last) k++;
        if (k == many) continue;
        while (i < count && beam[i].prefix != beam[child].parent) i++;
        if (i == count) continue;
        float ctc = (tried[k] == beam[i].last ? beam[i].blank : beam[i].whole) + frame[tried[k]];
        next[child].inked = log_add(next[child].inked, ctc);
        work->there[i * many + k] = 1;
    }
    for (int i = 0; i < count; i++) {
        next[i].score = scored(search, log_add(next[i].blank, next[i].inked), next[i].language, next[i].length);
        if (!i || next[i].score < least) least = next[i].score;
    }
    if (count < search->width) least = 2 * NEVER; /* else what is worse than all of these is not kept */
    for (int i = 0; i < count; i++) {
        for (int k = 0; k < many; k++) {
            int32_t class = tried[k], length = beam[i].length + 1;
            float ctc = (class == beam[i].last ? beam[i].blank : beam[i].whole) + frame[class];
            float language = beam[i].language;
            uint32_t state = beam[i].state;
            if (work->there[i * many + k] || !(ctc > top + likeliest - search->behind)) continue;
            if (scored(search, ctc, language, length) < least) continue; /* and the language only takes away */
            if (ngram) language += scales[class] * language_log(ngram, state, codes[class], &state);
            float score = scored(search, ctc, language, length);
            if (score < least) continue;
            Hypothesis *grown = next + total++;
            *grown = beam[i];
            grown->blank = NEVER;
            grown->inked = ctc;
            grown->language = language;
            grown->score = score;
            grown->state = state;
            grown->length = length;
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
    count = best(next, places, total, search->width);
    for (int i = 0; i < count; i++) beam[i] = next[places[i]];
    return count;
}

/* Finds the best texts of one line.
 *
 * logs        ln p [frames, classes] of the frames that are searched
 * gaps        [frames], whether sure blanks came before the frame
 * ngram       NULL: none
 * codes, scales
 *             [classes]: the code in the n-gram, and how much of its ln p counts
 * keep        texts that are wanted, best first; at most `width`
 * found, peaks, states
 *             room for `keep` times `frames` values: of each text the class of each character, the frame of its peak, the
 *             n-gram's state after it
 * lengths, ctc, language
 *             room for `keep` values: of each text its characters, its ln p by the frames, and by the n-gram
 *
 * Returns the number of texts, or -1 when memory ran out.
 */
EXPORT int32_t htrjand_best(const Search *search, const float *logs, const uint8_t *gaps, const Ngram *ngram,
                            const uint8_t *codes, const float *scales, int32_t keep, int32_t *found, int32_t *peaks,
                            uint32_t *states, int32_t *lengths, float *ctc, float *language) {
    size_t room = (size_t)search->width * (1 + (size_t)search->candidates), frames = (size_t)search->frames;
    Hypothesis *beam = malloc((size_t)search->width * sizeof *beam);
    Link *links = malloc(frames * (size_t)search->width * sizeof *links);
    Work work = {malloc(room * sizeof *work.next), malloc(room * sizeof *work.places),
                 malloc(((size_t)search->candidates + 1) * sizeof *work.tried), malloc(room)};
    int32_t kept = -1, step;
    int count = 1;
    if (beam && links && work.next && work.places && work.tried && work.there) {
        memset(beam, 0, sizeof *beam);
        beam->inked = beam->peak = NEVER;
        beam->last = search->blank;
        beam->state = search->start;
        beam->prefix = ROOT_HASH;
        beam->parent = NO_PARENT;
        for (step = 0; step < search->frames; step++) {
            count = advance(search, ngram, codes, scales, logs + (size_t)step * (size_t)search->classes, gaps[step],
                            step, beam, count, &work);
            for (int i = 0; i < count; i++)
                links[(size_t)step * (size_t)search->width + (size_t)i] =
                    (Link){beam[i].source, beam[i].added, beam[i].before, beam[i].state};
        }
        for (kept = 0; kept < keep && kept < count; kept++) {
            int chosen = -1;
            for (int i = 0; i < count; i++)
                if (beam[i].score > (chosen < 0 ? 2 * NEVER : beam[chosen].score)) chosen = i;
            if (chosen < 0) break;
            beam[chosen].score = 3 * NEVER; /* taken */
            size_t row = (size_t)kept * frames;
            int32_t place = beam[chosen].length, peak = beam[chosen].peak_step;
            lengths[kept] = place;
            ctc[kept] = log_add(beam[chosen].blank, beam[chosen].inked);
            language[kept] = beam[chosen].language;
            for (step = search->frames - 1; step >= 0; step--) {
                Link link = links[(size_t)step * (size_t)search->width + (size_t)chosen];
                if (link.added >= 0) {
                    found[row + (size_t)--place] = link.added;
                    peaks[row + (size_t)place] = peak;
                    states[row + (size_t)place] = link.state;
                    peak = link.before;
                }
                chosen = link.source;
            }
        }
    }
    free(beam);
    free(links);
    free(work.next);
    free(work.places);
    free(work.tried);
    free(work.there);
    return kept;
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
