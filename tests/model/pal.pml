/* SPDX-License-Identifier: MIT */
/*
 * The life of PALs in one slot, for SPIN: calls, interrupts, resuming, registering,
 * unregistering, death, collection and wiping by several CPUs at once.
 *
 * Each `atomic`, and each statement outside of one, is one access to what CPUs share, in
 * the order of hypapps/trustvisor/; labels and inlines are named after its functions.
 * More liberal than the code are: look-ups, which may try the slot whenever they like, as
 * with call_hint(); and the OS, which does hypercalls in any order on any CPU, knows all
 * tokens that a thread was ever given, and takes the owner's pages away when it likes.
 * Left out: that who kills a PAL begins at once to wipe it. The next hypercall of any CPU
 * does that here.
 *
 * Names in HOLDS are the properties; tests/model/run.py says what they mean. The PALs that
 * live in the slot one after the other, their activations (stacks), the interruptions, and the
 * CPUs are bounded, all by -D. SEED_... puts a bug in.
 */
#ifndef CPUS
#define CPUS 2
#endif
#ifndef BIRTHS
#define BIRTHS 2        /* PALs in all */
#endif
#ifndef TOKENS
#define TOKENS 2        /* interruptions in all */
#endif
#ifndef PARTS
#define PARTS 1         /* exits that wiping the largest PAL takes */
#endif
#ifndef ACTS
#define ACTS 1          /* activations of a PAL: 1 or 2 */
#endif

#define EMPTY 0
#define REGISTERING 1
#define LIVE 2
#define LEAVING 3
#define DYING 4

#define FREE 0
#define RUNNING 1
#define INTERRUPTED 2
#define RETURNING 3
#define CLAIMED 4
#define TELLING 5
#define OCALL 6

/* The slot: `life` is one word of three fields, so they are read and written together. */
byte generation, state, refs;
byte key;                /* page of the entry */
bool linked, listed;     /* in the hash chain, in the reap list */
bool unused = true;      /* in the free list */
bool lock, reaping;

/* The PAL in it. */
byte act[ACTS], token[ACTS];
bool stepping, given;    /* given: all CODE is written back */

/* What nobody in the code sees: */
byte birth;              /* which PAL is in the slot */
byte pal_key;            /* where it was registered */
bool there;              /* its control page exists */
byte parts, size;        /* frames not wiped yet, of how many */
bool nonce;              /* its owner's memory still has the stubs */
byte pinned;             /* CPUs whose TLB the OS must flush before it takes those away */
byte running[ACTS];      /* CPUs that own the activation */
byte registering;        /* CPUs at a step of TV_HC_REG */
byte issued, known;      /* last token; last one that a thread has seen */
byte of_call[ACTS];      /* last token of this call */
byte consumed;           /* tokens that were, a bit each */
byte inside;             /* CPUs that aren't in the guest */

/* Properties. Always false: an assertion that fails shows its name. */
bool one_cpu, token_once, token_own_call, wiped_unreferenced, unregistered_idle, same_pal,
     gives_back, reaped_once, one_step, at_rest, dead_is_silent, busy_runs;

#define HOLDS(name, condition) assert((condition) || name)

/* The PAL that this CPU has a reference to is the one it thinks, and there. */
#define TOUCH HOLDS(wiped_unreferenced, there && refs > 0 && birth == mine)
#define FRAMES HOLDS(wiped_unreferenced, there && parts == size)

/* With no CPU inside nothing is half done: every PAL can be called, resumed, unregistered
 * or collected; no reference is lost; the dead are where the next hypercall finds them. */
#define ACT_RESTS(i) (act[i] == FREE || (act[i] != RUNNING && act[i] != CLAIMED \
    && token[i] != 0 && token[i] == of_call[i] && token[i] <= known))
#if ACTS == 1
#define ACTS_REST ACT_RESTS(0)
#define ALL_CLAIMED (act[0] == CLAIMED)
#define NONE_RUNS (running[0] == 0)
#else
#define ACTS_REST (ACT_RESTS(0) && ACT_RESTS(1))
#define ALL_CLAIMED (act[0] == CLAIMED && act[1] == CLAIMED)
#define NONE_RUNS (running[0] == 0 && running[1] == 0)
#endif

#define REST (!lock && !reaping && refs == 0 && NONE_RUNS && registering == 0 \
    && (state != EMPTY || (unused && !linked && !listed && !there)) \
    && (state != LIVE || (linked && !stepping && ACTS_REST)) \
    && (state != LEAVING || (linked && !stepping && ALL_CLAIMED)) \
    && (state != DYING || (!linked && listed)))

/* --- registry.c ----------------------------------------------------------------- */

#define LOAD_LIFE g = generation; s = state; r = refs
#define SAME_LIFE (generation == g && state == s && refs == r)

/* A reference to the slot if its key is k (0: any) and `allowed` holds of s, its state; the
 * life word has been read. */
inline take(allowed)
{
    do
    :: atomic { (k != 0 && key != k) || !(allowed) -> goto out }
    :: atomic { (k == 0 || key == k) && (allowed) -> skip };
       atomic {
           if
           :: SAME_LIFE -> refs++; mine = birth; HOLDS(same_pal, k == 0 || pal_key == k); break
           :: else -> LOAD_LIFE
           fi
       }
    od
}

/* A reference to a REGISTERING slot that no CPU works on. */
inline get_idle()
{
    atomic { if :: s != REGISTERING || key != k || r != 0 -> goto out :: else fi };
    atomic {
        if
        :: SAME_LIFE -> refs++; mine = birth; HOLDS(same_pal, pal_key == k)
        :: else -> goto out
        fi
    }
}

/* Keys first, then the life word: under the lock, but look-ups don't take it. */
inline recycle()
{
    atomic { !lock && !there -> lock = true; key = 0 };
    d_step {
        state = EMPTY; refs = 0; unused = true; lock = false;
#ifndef SEED_SAME_GENERATION
        generation++
#endif
    }
}

/* --- death.c -------------------------------------------------------------------- */

/* An exit wipes so much and no more. This CPU has got `reaping`. */
inline reap()
{
    atomic { !lock && listed -> listed = false };
    atomic {
        HOLDS(wiped_unreferenced, refs == 0 && NONE_RUNS && registering == 0);
        if
        :: parts > 1 -> parts--; !lock -> listed = true
        :: else ->
            parts = 0; size = 0; there = false; stepping = false; given = false; nonce = false;
            pal_key = 0; act[0] = FREE; token[0] = 0;
#if ACTS > 1
            act[1] = FREE; token[1] = 0;
#endif
        fi
    };
    if
    :: recycle(); reaping = false
    :: atomic { listed -> reaping = false }
    fi
}

#ifdef SEED_THE_RUNNING_ARE_CLAIMED
#define IS_CLOSED(a) (a == CLAIMED)
#else
#define IS_CLOSED(a) (a == CLAIMED || a == RUNNING)
#endif

/* Who finds an activation running tells its caller that the PAL is busy. */
#define LOAD_ACT(i) \
    a = act[i]; HOLDS(busy_runs, a != RUNNING || running[i] == 1 || state == DYING)

/* Close one activation, to unregister or collect; `a` was its state. */
#define CLAIM_ONE(i, yes, no) \
    atomic { LOAD_ACT(i) }; \
    do \
    :: atomic { IS_CLOSED(a) -> goto no } \
    :: atomic { \
           !IS_CLOSED(a) -> TOUCH; \
           if :: act[i] == a -> act[i] = CLAIMED; goto yes :: else -> LOAD_ACT(i) fi \
       } \
    od

/* All of them or none: those that were closed get their states back. `yes` and `no` are labels,
 * `next` and `back` new ones. */
#if ACTS == 1
#define CLAIM(yes, no, next, back) CLAIM_ONE(0, yes, no)
#else
#ifdef SEED_CLAIMS_STAY
#define UNCLAIM skip
#else
#define UNCLAIM act[0] = old
#endif
#define CLAIM(yes, no, next, back) \
    CLAIM_ONE(0, next, no); \
next: \
    old = a; \
    CLAIM_ONE(1, yes, back); \
back: \
    atomic { TOUCH; UNCLAIM; goto no }
#endif

/* --- collect.c ------------------------------------------------------------------ */

/* A reference to the slot is held: to LIVE ones of other PALs, and to LEAVING ones,
 * collection needs more than that. */
inline collect()
{
#ifdef SEED_BUSY_REGISTRATIONS_END
    atomic { LOAD_LIFE };
#else
    atomic { LOAD_LIFE; if :: s == REGISTERING && r > 1 -> goto put :: else fi };
#endif
    if
    :: atomic { s == REGISTERING -> goto die } /* nobody continues it */
    :: atomic { s != REGISTERING && nonce -> goto put }
    :: atomic { s != REGISTERING && !nonce -> s = state };
       if
       :: atomic { s == LEAVING -> TOUCH; if :: stepping -> goto put :: else fi; stepping = true };
          goto die
       :: atomic { s != LEAVING -> skip }; CLAIM(die, put, collect_next, collect_back)
       fi
    fi
}

/* --- call.c --------------------------------------------------------------------- */

#define OWN running[n]++; HOLDS(one_cpu, running[n] == 1)
#define DISOWN HOLDS(one_cpu, act[n] == RUNNING && running[n] == 1); running[n]--

/* Another call of this PAL has ended it: this one's activation stays as it is. */
#if ACTS > 1 && !defined(SEED_THE_DEAD_GIVE_RESULTS)
#define UNLESS_DEAD atomic { TOUCH; if :: state == DYING -> running[n]--; goto put :: else fi };
#else
#define UNLESS_DEAD
#endif

/* Take it if it is free. */
#define TAKE_FREE(i, no) \
    atomic { \
        TOUCH; n = i; \
        if :: act[n] == FREE -> act[n] = RUNNING; of_call[n] = 0; OWN; goto entered \
        :: else -> goto no fi \
    }

inline stub_entry()
{
#ifdef SEED_ENTRY_WITHOUT_CAS
    atomic { TOUCH; if :: act[0] == FREE :: else -> goto put fi };
    atomic { act[0] = RUNNING; of_call[0] = 0; OWN };
#elif ACTS == 1
    TAKE_FREE(0, put);
#else
    TAKE_FREE(0, another);
another:
    TAKE_FREE(1, put);
#endif
entered:
    if
    :: atomic { !nonce -> goto die_running }
    :: atomic { nonce -> goto sandbox }
    :: atomic { goto release } /* the arguments fault */
    fi
}

#define WAITS(a) (a == INTERRUPTED || a == RETURNING || a == TELLING || a == OCALL)

#ifdef SEED_ANY_TOKEN_WILL_DO
#define IS_TOKEN(i) (token[i] != 0)
#else
#define IS_TOKEN(i) (token[i] == t)
#endif

/* `t` is a token that some thread was given. */
inline stub_resume()
{
#if ACTS == 1
    atomic { TOUCH; if :: IS_TOKEN(0) :: else -> goto put fi };
#else
    atomic { TOUCH; n = 0; if :: IS_TOKEN(0) -> goto found :: else fi };
    atomic { TOUCH; n = 1; if :: IS_TOKEN(1) :: else -> goto put fi };
found:
#endif
    atomic { TOUCH; a = act[n]; if :: WAITS(a) :: else -> goto put fi };
    atomic {
        TOUCH;
        if
        :: IS_TOKEN(n) ->
#ifndef SEED_TOKEN_STAYS
            token[n] = 0
#endif
        :: else -> goto put
        fi
    };
    atomic {
        TOUCH;
        if
        :: act[n] == a ->
            act[n] = RUNNING; dead = (state == DYING);
            HOLDS(token_once, !(consumed >> t & 1)); consumed = consumed | 1 << t;
            HOLDS(token_own_call, t == of_call[n]); OWN;
            if
            :: a == RETURNING -> goto finish
            :: a == TELLING -> goto tell
            :: a == OCALL -> goto answered
            :: else -> goto sandbox
            fi
#ifdef SEED_CLAIMED_TOKENS_ARE_LOST
        :: else -> goto put
#else
        :: else /* just claimed; it may be given back */
#endif
        fi
    };
    atomic { TOUCH; token[n] = t; goto put }
}

/* The state and then the token. Nobody else can know the token yet. */
inline wait_for_token(how)
{
    atomic {
        TOUCH; issued++; t = issued; DISOWN; of_call[n] = t;
#ifdef SEED_THE_INTERRUPTED_ARE_BUSY
        skip
#else
        act[n] = how
#endif
    };
#ifdef SEED_REFERENCE_GIVEN_BACK_EARLY
    refs--;
    atomic { TOUCH; token[n] = t; refs++ };
#else
    atomic { TOUCH; token[n] = t };
#endif
    goto put
}

/* What the answer is in can't be read: all is as it was, the token too. It counts as one that
 * hasn't been consumed. */
inline wait_again()
{
    atomic { TOUCH; consumed = consumed & ~(1 << t); DISOWN;
#ifdef SEED_A_FAULT_LOSES_THE_TOKEN
        of_call[n] = 0;
#endif
        act[n] = OCALL
    };
#ifndef SEED_A_FAULT_LOSES_THE_TOKEN
    atomic { TOUCH; token[n] = t };
#endif
    goto put
}

/* --- register.c ----------------------------------------------------------------- */

/* A step: more to do, or an error, or done. This CPU holds the only reference. */
inline steps()
{
    atomic { TOUCH; registering++; HOLDS(one_step, registering == 1 && state == REGISTERING) };
    if
    :: atomic { registering--; goto put }
    :: atomic { registering--; goto die }
    :: atomic { nonce = true; registering-- };
       atomic { HOLDS(one_step, state == REGISTERING); state = LIVE; goto put }
    fi
}

/* The n-th PAL is at page n. */
inline register()
{
    atomic {
        !lock ->
        if
        :: linked -> refs++; mine = birth; goto collecting /* a PAL is in the way */
        :: !linked && unused && k == birth + 1 ->
            lock = true; unused = false; there = true; linked = true; key = k;
            birth++; mine = birth; pal_key = k;
            if :: size = 1 :: PARTS > 1 -> size = PARTS fi;
            parts = size
        :: else -> goto out
        fi
    };
    d_step { state = REGISTERING; refs = 1; lock = false }
}

/* --- unregister.c --------------------------------------------------------------- */

/* The OS can't take pages away between our look at them and our leaving: `pinned`. */
inline step()
{
    atomic { TOUCH; if :: stepping -> goto put :: else -> stepping = true; pinned++ fi };
    atomic { TOUCH; s = state };
    if
    :: atomic { s == LIVE -> goto again } /* a page faults */
    :: atomic { s == LIVE -> won = nonce }; CLAIM(claimed, again, step_next, step_back)
#ifdef SEED_THE_DYING_ARE_UNREGISTERED
    :: atomic { s != LIVE -> goto write_pages }
#else
    :: atomic { s == LEAVING && (given || nonce) -> goto write_pages }
    :: atomic { s == LEAVING && !given && !nonce -> goto done }
    :: atomic { s != LIVE && s != LEAVING -> goto again } /* it has just died */
#endif
    fi;
claimed:
    atomic {
        if
        :: won -> won = false; HOLDS(one_step, state == LIVE); state = LEAVING
        :: else -> goto done /* other memory is there now: not ours to write */
        fi
    }
}

/* Write back, then wipe; either may take several exits. */
inline write_pages_and_wipe()
{
    if
    :: atomic { !given -> goto again } /* a fault, or too much for one exit */
    :: atomic {
           !given -> HOLDS(gives_back, nonce && state == LEAVING && ALL_CLAIMED); FRAMES;
           given = true; nonce = false /* the entry's page comes last */
       }
    :: atomic { given -> skip }
    fi;
    atomic {
        HOLDS(wiped_unreferenced, NONE_RUNS && parts > 0);
        if :: parts > 1 -> parts--; goto again :: else fi
    }
}

/* --- tv.c ----------------------------------------------------------------------- */

#define PLACE inside++; if :: k = 1 :: BIRTHS > 1 -> k = 2 fi
#define OUT \
    g = 0; s = 0; r = 0; a = 0; k = 0; n = 0; old = 0; dead = false; mine = 0; won = false; \
    inside--; \
    known = (t > known -> t : known); t = 0; \
    HOLDS(at_rest, inside > 0 || REST)

proctype cpu()
{
    byte g, s, r;       /* a life word */
    byte a, k, t, mine;
    byte n, old;        /* its activation; the state of the first that was claimed */
    bool won;
    bool dead;          /* the PAL had died when this call left it */

guest:
    if
    :: atomic { nonce && pinned == 0 -> nonce = false; goto guest }
    :: atomic { listed && !reaping -> reaping = true; inside++ }; reap(); goto out
    :: atomic { state != EMPTY -> PLACE; LOAD_LIFE }; take(s == LIVE); stub_entry()
    :: atomic { known > 0 -> t = 1; do :: t < known -> t++ :: break od; PLACE; LOAD_LIFE };
       take(s == LIVE); stub_resume()
    :: atomic { PLACE }; register(); goto stepping_on
    :: atomic { state == REGISTERING -> PLACE; LOAD_LIFE }; get_idle(); goto stepping_on
    :: atomic { state != EMPTY -> PLACE; LOAD_LIFE };
       take(s == LIVE || s == LEAVING); goto unregistering
    :: atomic { state != EMPTY -> inside++; LOAD_LIFE };
       take(s == LIVE || s == LEAVING || s == REGISTERING); goto collecting
    fi;

collecting:
    collect();
stepping_on:
    steps();

sandbox: /* in the sandbox until something ends that */
    if
    :: atomic { issued < TOKENS -> TOUCH; FRAMES }; UNLESS_DEAD wait_for_token(INTERRUPTED)
    :: atomic { TOUCH; FRAMES; dead = (state == DYING); goto finish }
    :: atomic { issued < TOKENS -> TOUCH; FRAMES; goto tell }
    :: goto die_running
    fi;
tell: /* the PAL asks */
    UNLESS_DEAD
    if
    :: atomic { issued < TOKENS -> TOUCH; FRAMES }; wait_for_token(OCALL)
    :: atomic { issued < TOKENS -> TOUCH; FRAMES }; wait_for_token(TELLING)
    :: atomic { issued >= TOKENS -> goto release } /* no more in this model */
    fi;
answered:
    if
    :: atomic { TOUCH; FRAMES; goto sandbox }
    :: wait_again()
    fi;
finish:
    UNLESS_DEAD
    if
    :: atomic { issued < TOKENS -> TOUCH; FRAMES }; wait_for_token(RETURNING)
    :: atomic { TOUCH; FRAMES; HOLDS(dead_is_silent, !dead); goto release }
    fi;
release:
    atomic { TOUCH; DISOWN; act[n] = FREE; goto put };

unregistering:
    step();
write_pages:
    write_pages_and_wipe();
done:
    atomic { TOUCH; stepping = false; pinned--; HOLDS(unregistered_idle, NONE_RUNS); goto die };
again:
    atomic { TOUCH; stepping = false; pinned--; goto put };

die_running:
    atomic { won = state != DYING; state = DYING; running[n]--; goto unlink };
die:
    atomic { won = state != DYING; state = DYING };
unlink:
    atomic { !won || !lock -> linked = linked && !won };
put:
    atomic {
        refs--;
        if
#ifdef SEED_PUT_FORGETS_THE_DEAD
        :: refs == 0 && state == DYING && !won
#else
        :: refs == 0 && state == DYING
#endif
            -> !lock -> HOLDS(reaped_once, !listed); listed = true
        :: else
        fi
    };
out:
    atomic { OUT };
    goto guest
}

#ifdef LIVENESS
/* Some thread, of whatever process, makes hypercalls again and again. */
proctype next_one()
{
    do
#ifndef SEED_CALLS_DO_NOT_WIPE
    :: atomic { listed && !reaping -> reaping = true; inside++ }; reap(); inside--
#endif
    :: atomic { !listed || reaping -> skip }
    od
}

/* Under weak fairness: each CPU that can go on does so. */
ltl killed_is_wiped { [] (state == DYING -> <> (state != DYING)) }
#endif

init
{
    atomic {
        byte i;

        for (i : 1 .. CPUS) {
            run cpu()
        }
#ifdef LIVENESS
        run next_one()
#endif
    }
}
