//! From facts in the order of their times to sessions.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::signal::{Activity, Signal, minute};
use super::{Block, EnergySource, SILENCE_MAX, Session};

/// Power that was not heard of for longer is not counted on.
const POWER_HOLDS_MS: i64 = 3_600_000;
/// How much a state of charge may fall over such a silence, in tenths of a percent; with more, the car was not charged.
const FALL_MAX: i64 = 10;
/// How long after the last current a state of charge or a counter still belongs to the session.
const SETTLING_MS: i64 = 300_000;
/// Two states of charge farther apart say nothing of when it was charged between them.
const RISE_MAX_MS: i64 = 6 * 3_600_000;
/// A car whose odometer grew by more was driven.
const DRIVEN_M: i64 = 500;
/// Blocks of one session; a charger that goes on and off without end begins another session.
const BLOCKS_MAX: usize = 100;
/// From watts times milliseconds, counted twice, to joules.
const TWICE_MILLI: i64 = 2_000;

/// What is known at one instant, the session that is under way, and those that are done and not yet taken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Machine {
    known: Known,
    session: Option<Draft>,
    /// When the last session ended; nothing that comes may reach back before that.
    ended_ms: Option<i64>,
    done: Vec<Session>,
}

/// The newest of each fact.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    activity: Option<Activity>,
    /// Whether the activity is `charging.status`; then `hvStatus` does not count.
    has_status: bool,
    /// With the time since when it is so.
    plugged: Option<(bool, i64)>,
    power_w: Option<i64>,
    counter_wh: Option<Reading>,
    permille: Option<Reading>,
    /// Whether the state of charge comes with tenths; then that in whole percent does not count.
    has_tenths: bool,
    usable_wh: Option<i64>,
    gross_wh: Option<i64>,
    mileage_m: Option<i64>,
    latitude: Option<Degrees>,
    longitude: Option<Degrees>,
    preconditioning: bool,
}

/// A number with its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Reading {
    number: i64,
    at_ms: i64,
}

/// Half a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Degrees {
    e7: i64,
    #[serde(default)]
    at_ms: i64,
    /// The odometer when it was told; of the same minute the last one, as no other is kept.
    mileage_m: Option<i64>,
}

/// A session that may go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Draft {
    /// At least one. Only the last may be open.
    blocks: Vec<DraftBlock>,
    start_permille: Option<i64>,
    end_permille: Option<i64>,
    start_wh: Option<i64>,
    end_wh: Option<i64>,
    capacity_wh: Option<i64>,
    mileage_m: Option<i64>,
    place_e7: Option<(i64, i64)>,
    preconditioned: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct DraftBlock {
    start_ms: i64,
    /// Until when it is known that current flowed.
    end_ms: i64,
    is_open: bool,
    power_w: Option<i64>,
    /// Twice the energy in thousandths of a joule, so that a mean of two powers stays a whole number.
    twice_mj: i64,
    /// Whether there was a silence over which the power can't be counted on.
    has_gap: bool,
}

impl Machine {
    /// Takes the next fact; none may be older than the one before.
    pub(super) fn step(&mut self, at_ms: i64, signal: Signal, number: i64) {
        if self.silent_ms(at_ms) > silence_max_ms() {
            self.lose();
        }
        match signal {
            Signal::UsableWh => self.known.usable_wh = Some(number),
            Signal::GrossWh => self.known.gross_wh = Some(number),
            Signal::MileageM => self.drive(at_ms, number),
            Signal::LatitudeE7 => {
                self.known.latitude = Some(self.known.degrees(at_ms, number));
                self.place();
            }
            Signal::LongitudeE7 => {
                self.known.longitude = Some(self.known.degrees(at_ms, number));
                self.place();
            }
            Signal::PowerW => self.power(at_ms, number),
            Signal::CounterWh => self.count(at_ms, number),
            Signal::Permille => {
                self.known.has_tenths = true;
                self.state_of_charge(at_ms, number);
            }
            Signal::WholePermille if self.known.has_tenths => {}
            Signal::WholePermille => self.state_of_charge(at_ms, number),
            Signal::Preconditioning => {
                self.known.preconditioning = number == 1;
                if let Some(draft) = self.session.as_mut().filter(|draft| draft.is_open()) {
                    draft.preconditioned |= number == 1;
                }
            }
            Signal::Plugged => self.plug(at_ms, number == 1),
            Signal::HvActivity if self.known.has_status => {}
            Signal::HvActivity => self.activity(at_ms, number),
            Signal::Activity => {
                self.known.has_status = true;
                self.activity(at_ms, number);
            }
        }
    }

    /// The sessions that are done; each once.
    pub(super) fn take_done(&mut self) -> Vec<Session> {
        std::mem::take(&mut self.done)
    }

    /// The session that is under way.
    pub(super) fn present(&self) -> Option<Session> {
        let draft = self.session.as_ref()?;
        let waits = self.known.activity == Some(Activity::Waiting) && self.is_plugged();
        draft.session(draft.is_open() || waits)
    }

    /// For how long nothing was heard of the current that flows, if any does.
    fn silent_ms(&self, at_ms: i64) -> i64 {
        let last = self.session.as_ref().and_then(|draft| draft.blocks.last());
        last.filter(|block| block.is_open).map_or(0, |block| at_ms - block.end_ms)
    }

    /// Ends the session where it was heard of last: nobody told of its end, so what is known of plug and charge is out of
    /// date, too.
    fn lose(&mut self) {
        self.known.plugged = None;
        self.known.activity = self.known.activity.map(|_| Activity::None);
        self.finish();
    }

    fn is_plugged(&self) -> bool {
        !matches!(self.known.plugged, Some((false, _)))
    }

    /// Whether current flows, by what is known.
    fn is_charging(&self) -> bool {
        let flows = match self.known.activity {
            Some(activity) => activity == Activity::Charging,
            None => self.known.power_w.is_some_and(|power_w| power_w > 0),
        };
        flows && self.is_plugged()
    }

    fn activity(&mut self, at_ms: i64, number: i64) {
        let activity = Activity::from_number(number);
        if activity == Some(Activity::Charging)
            && self.known.plugged.is_some_and(|(plugged, since_ms)| !plugged && since_ms < at_ms)
        {
            // Current does not flow without a cable: what was told of the plug is out of date.
            self.known.plugged = None;
        }
        self.known.activity = activity;
        self.follow(at_ms);
    }

    fn plug(&mut self, at_ms: i64, plugged: bool) {
        if self.known.plugged.is_none_or(|(before, _)| before != plugged) {
            self.known.plugged = Some((plugged, at_ms));
        }
        self.follow(at_ms);
        if !plugged && self.known.activity.is_some() {
            // The next cable must not find the state of this one.
            self.known.activity = Some(Activity::None);
        }
    }

    fn power(&mut self, at_ms: i64, power_w: i64) {
        self.known.power_w = Some(power_w);
        if let Some(block) = self.open_block() {
            block.measure(at_ms, power_w);
        }
        if self.known.activity.is_none() {
            self.follow(at_ms);
        }
    }

    /// Opens or closes a block, and ends the session where nothing can follow.
    fn follow(&mut self, at_ms: i64) {
        let is_open = self.open_block().is_some();
        match (is_open, self.is_charging()) {
            (false, true) => self.open(at_ms),
            (true, false) => {
                if let Some(block) = self.open_block() {
                    block.hold(at_ms);
                    block.is_open = false;
                }
            }
            (true, true) => {
                if let Some(block) = self.open_block() {
                    block.hold(at_ms);
                }
            }
            (false, false) => {}
        }
        let may_go_on = match self.known.plugged {
            Some((plugged, _)) => plugged,
            None => self.is_charging() || self.known.activity == Some(Activity::Waiting),
        };
        if !may_go_on {
            self.finish();
        }
    }

    fn open_block(&mut self) -> Option<&mut DraftBlock> {
        self.session.as_mut()?.blocks.last_mut().filter(|block| block.is_open)
    }

    fn open(&mut self, at_ms: i64) {
        let power_w = self.known.power_w.filter(|power_w| *power_w > 0);
        self.add(DraftBlock { power_w, is_open: true, ..DraftBlock::new(at_ms, at_ms) });
    }

    /// Adds a block to the session under way, or begins one.
    fn add(&mut self, block: DraftBlock) {
        let is_another = |draft: &Draft| {
            let last = draft.blocks.last();
            let paused_ms = last.map_or(0, |last| block.start_ms - last.end_ms);
            draft.blocks.len() >= BLOCKS_MAX || paused_ms > silence_max_ms()
        };
        if self.session.as_ref().is_some_and(is_another) {
            // Of the new block's power nothing is out of date.
            let power_w = self.known.power_w;
            self.finish();
            self.known.power_w = power_w;
        }
        let known = &self.known;
        let draft = self.session.get_or_insert_with(|| known.draft());
        draft.preconditioned |= known.preconditioning;
        draft.blocks.push(block);
    }

    fn count(&mut self, at_ms: i64, number: i64) {
        let before = self.known.counter_wh.replace(Reading { number, at_ms });
        self.rise(before, Reading { number, at_ms });
        if let Some(block) = self.open_block() {
            block.hold(at_ms);
        }
        if let Some(draft) = self.settling(at_ms) {
            draft.start_wh.get_or_insert(number);
            draft.end_wh = Some(number);
        }
    }

    fn state_of_charge(&mut self, at_ms: i64, number: i64) {
        let before = self.known.permille.replace(Reading { number, at_ms });
        let has_fallen = before.is_some_and(|before| before.number - number > FALL_MAX);
        if has_fallen && self.silent_ms(at_ms) > POWER_HOLDS_MS {
            self.lose();
        }
        self.rise(before, Reading { number, at_ms });
        if let Some(block) = self.open_block() {
            block.hold(at_ms);
        }
        if let Some(draft) = self.settling(at_ms) {
            draft.start_permille.get_or_insert(number);
            draft.end_permille = Some(number);
        }
    }

    /// The session under way, as long as what is told at `at_ms` belongs to it.
    fn settling(&mut self, at_ms: i64) -> Option<&mut Draft> {
        let draft = self.session.as_mut()?;
        let last = draft.blocks.last()?;
        (last.is_open || at_ms - last.end_ms <= SETTLING_MS).then_some(draft)
    }

    /// A number that grows at the plug is a charge, where nothing better tells of one.
    fn rise(&mut self, before: Option<Reading>, now: Reading) {
        let (Some(before), Some((true, plugged_ms))) = (before, self.known.plugged) else { return };
        let is_told = self.known.activity.is_some() || self.known.power_w.is_some();
        if is_told || now.number <= before.number || now.at_ms - before.at_ms > RISE_MAX_MS {
            return;
        }
        let mut start_ms = before.at_ms.max(plugged_ms).max(self.ended_ms.unwrap_or(i64::MIN));
        let last = self.session.as_mut().and_then(|draft| draft.blocks.last_mut());
        if let Some(last) = last {
            start_ms = start_ms.max(last.end_ms);
            if start_ms == last.end_ms {
                last.end_ms = now.at_ms;
                return;
            }
        }
        self.add(DraftBlock::new(start_ms, now.at_ms));
        if let Some(draft) = self.session.as_mut().filter(|draft| draft.blocks.len() == 1) {
            // What was known when it began, and not what is known now.
            let of = |now_known: Option<Reading>, start: &mut Option<i64>| {
                if now_known == Some(now) {
                    *start = Some(before.number);
                }
            };
            of(self.known.permille, &mut draft.start_permille);
            of(self.known.counter_wh, &mut draft.start_wh);
        }
    }

    fn drive(&mut self, at_ms: i64, mileage_m: i64) {
        self.known.mileage_m = Some(mileage_m);
        let position = [&mut self.known.latitude, &mut self.known.longitude];
        for degrees in position.into_iter().flatten() {
            if minute(degrees.at_ms) == minute(at_ms) {
                degrees.mileage_m = Some(mileage_m);
            }
        }
        let Some(draft) = &mut self.session else { return };
        let stood_at_m = *draft.mileage_m.get_or_insert(mileage_m);
        if mileage_m - stood_at_m > DRIVEN_M {
            self.lose();
        }
    }

    /// A position that comes after the charge began is its place, too.
    fn place(&mut self) {
        let place_e7 = self.known.place_e7();
        if let Some(draft) = &mut self.session {
            draft.place_e7 = draft.place_e7.or(place_e7);
        }
    }

    fn finish(&mut self) {
        let Some(mut draft) = self.session.take() else { return };
        if let Some(block) = draft.blocks.last_mut() {
            block.is_open = false;
            self.ended_ms = Some(block.end_ms);
        }
        // The next session's power is another one's until it is told.
        self.known.power_w = self.known.power_w.map(|_| 0);
        self.done.extend(draft.session(false));
    }
}

fn silence_max_ms() -> i64 {
    i64::try_from(SILENCE_MAX.as_millis()).unwrap_or(i64::MAX)
}

impl Known {
    fn draft(&self) -> Draft {
        Draft {
            blocks: Vec::new(),
            start_permille: self.permille.map(|reading| reading.number),
            end_permille: self.permille.map(|reading| reading.number),
            start_wh: self.counter_wh.map(|reading| reading.number),
            end_wh: self.counter_wh.map(|reading| reading.number),
            capacity_wh: self.usable_wh.or(self.gross_wh),
            mileage_m: self.mileage_m,
            place_e7: self.place_e7(),
            preconditioned: self.preconditioning,
        }
    }

    fn degrees(&self, at_ms: i64, e7: i64) -> Degrees {
        Degrees { e7, at_ms, mileage_m: self.mileage_m }
    }

    /// Where the vehicle stands, north and east; unknown when it drove on after it told either.
    fn place_e7(&self) -> Option<(i64, i64)> {
        let here = |degrees: &Degrees| {
            let driven_m =
                self.mileage_m.zip(degrees.mileage_m).map_or(0, |(now, then)| now - then);
            driven_m <= DRIVEN_M
        };
        let (latitude, longitude) = (self.latitude.filter(here)?, self.longitude.filter(here)?);
        Some((latitude.e7, longitude.e7))
    }
}

impl Draft {
    fn is_open(&self) -> bool {
        self.blocks.last().is_some_and(|block| block.is_open)
    }

    /// `None` where a time is beyond what a timestamp holds, which no vehicle's is.
    fn session(&self, is_running: bool) -> Option<Session> {
        let (source, joules) = self.energy();
        let block = |(block, energy_joules): (&DraftBlock, u64)| {
            Some(Block {
                started_at: Timestamp::from_millisecond(block.start_ms).ok()?,
                ended_at: Timestamp::from_millisecond(block.end_ms).ok()?,
                energy_joules,
            })
        };
        let blocks = self.blocks.iter().zip(joules).map(block).collect::<Option<Vec<_>>>()?;
        let permille = |number: Option<i64>| number.and_then(|number| u16::try_from(number).ok());
        Some(Session {
            started_at: blocks.first()?.started_at,
            ended_at: blocks.last()?.ended_at,
            is_running,
            start_permille: permille(self.start_permille),
            end_permille: permille(self.end_permille),
            source,
            is_preconditioned: self.preconditioned,
            mileage_m: self.mileage_m.and_then(|mileage_m| u64::try_from(mileage_m).ok()),
            place_e7: self.place_e7,
            blocks,
        })
    }

    /// How the energy is known, and that of each block in joules.
    fn energy(&self) -> (EnergySource, Vec<u64>) {
        let measured =
            |block: &DraftBlock| u64::try_from(block.twice_mj / TWICE_MILLI).unwrap_or(0);
        let by_power: Vec<u64> = self.blocks.iter().map(measured).collect();
        let is_whole = self.blocks.iter().all(|block| block.power_w.is_some() && !block.has_gap);
        if is_whole && by_power.iter().any(|joules| *joules > 0) {
            return (EnergySource::Power, by_power);
        }
        let grown = |start: Option<i64>, end: Option<i64>| {
            end.zip(start).map(|(end, start)| end - start).filter(|grown| *grown > 0)
        };
        if let Some(wh) = grown(self.start_wh, self.end_wh) {
            return (EnergySource::Counter, self.spread(wh * 3600));
        }
        let permille = grown(self.start_permille, self.end_permille);
        if let Some((permille, capacity_wh)) = permille.zip(self.capacity_wh) {
            let joules = permille * capacity_wh * 36 / 10;
            return (EnergySource::StateOfCharge, self.spread(joules));
        }
        (EnergySource::Unknown, by_power)
    }

    /// `joules` over the blocks by their durations; all to the first where none lasted.
    fn spread(&self, joules: i64) -> Vec<u64> {
        let joules = i128::from(joules);
        let duration = |block: &DraftBlock| i128::from(block.end_ms - block.start_ms);
        let total: i128 = self.blocks.iter().map(duration).sum();
        let mut passed = 0;
        let mut given = 0;
        let share = |block: &DraftBlock| {
            passed += duration(block);
            // What is left of dividing goes to the next one, so that the sum is right.
            let until = if total > 0 { joules * passed / total } else { joules };
            let part = until - given;
            given = until;
            u64::try_from(part).unwrap_or(0)
        };
        self.blocks.iter().map(share).collect()
    }
}

impl DraftBlock {
    fn new(start_ms: i64, end_ms: i64) -> Self {
        Self { start_ms, end_ms, is_open: false, power_w: None, twice_mj: 0, has_gap: false }
    }

    /// Current still flows at `at_ms`, as strong as was told last.
    fn hold(&mut self, at_ms: i64) {
        let twice_w = self.power_w.map_or(0, |power_w| 2 * power_w);
        self.go_on(at_ms, twice_w);
    }

    /// Current of `power_w` flows at `at_ms`: in between, the power went there in a straight line. When it is 0, it was
    /// switched off. The first power that is told counts from the block's begin.
    fn measure(&mut self, at_ms: i64, power_w: i64) {
        let twice_w = match self.power_w {
            None => {
                self.end_ms = self.start_ms;
                2 * power_w
            }
            Some(before_w) if power_w == 0 => 2 * before_w,
            Some(before_w) => before_w + power_w,
        };
        self.go_on(at_ms, twice_w);
        self.power_w = Some(power_w);
    }

    fn go_on(&mut self, at_ms: i64, twice_w: i64) {
        let silent_ms = at_ms - self.end_ms;
        self.has_gap |= silent_ms > POWER_HOLDS_MS;
        let energy = twice_w.saturating_mul(silent_ms.min(POWER_HOLDS_MS));
        self.twice_mj = self.twice_mj.saturating_add(energy);
        self.end_ms = at_ms;
    }
}
