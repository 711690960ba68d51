//! The signals that simulated vehicles send, and how each is read off the state.

use cardata_domain::{Value, catalogue::Descriptor};
use jiff::Timestamp;

use crate::car::{Car, Charge, Electric, Tally};
use crate::model::Supply;
use crate::report::Scope;

/// A signal.
pub(crate) struct Signal {
    pub(crate) name: &'static str,
    /// The smallest report in which it is looked at.
    pub(crate) scope: Scope,
    /// `None` where the vehicle has no such thing.
    pub(crate) read: fn(&Car) -> Option<Value>,
}

type Read = fn(&Car) -> Option<Value>;

const fn moving(name: &'static str, read: Read) -> Signal {
    Signal { name, scope: Scope::Moving, read }
}

const fn slow(name: &'static str, read: Read) -> Signal {
    Signal { name, scope: Scope::Slow, read }
}

const fn rare(name: &'static str, read: Read) -> Signal {
    Signal { name, scope: Scope::All, read }
}

pub(crate) const LATITUDE: &str = "vehicle.cabin.infotainment.navigation.currentLocation.latitude";
pub(crate) const LONGITUDE: &str =
    "vehicle.cabin.infotainment.navigation.currentLocation.longitude";

/// All of them; which a vehicle sends, its drivetrain and the catalogue decide.
pub(crate) const SIGNALS: &[Signal] = &[
    // Position and motion.
    moving(LATITUDE, |car| number(car.fix.latitude, 7)),
    moving(LONGITUDE, |car| number(car.fix.longitude, 7)),
    moving("vehicle.cabin.infotainment.navigation.currentLocation.altitude", |car| {
        number(car.fix.altitude_m, 0)
    }),
    moving("vehicle.cabin.infotainment.navigation.currentLocation.heading", |car| {
        number(car.fix.heading_degrees.floor(), 0)
    }),
    slow("vehicle.cabin.infotainment.navigation.currentLocation.numberOfSatellites", |car| {
        number(f64::from(car.satellites), 0)
    }),
    slow("vehicle.cabin.infotainment.navigation.currentLocation.fixStatus", |car| {
        text(match car.satellites {
            0 => "NO_FIX",
            1..9 => "GPS_FIX_2D",
            _ => "GPS_FIX_3D",
        })
    }),
    moving("vehicle.isMoving", |car| flag(car.is_moving())),
    moving("vehicle.vehicle.travelledDistance", |car| number(car.odometer_m / 1000.0, 1)),
    moving("vehicle.vehicle.speedRange.lowerBound", |car| number(speed_step_kmh(car), 0)),
    moving("vehicle.vehicle.speedRange.upperBound", |car| number(speed_step_kmh(car) + 10.0, 0)),
    rare("vehicle.vehicle.averageWeeklyDistanceShortTerm", |car| {
        number(car.history.weekly_km_short, 0)
    }),
    rare("vehicle.vehicle.averageWeeklyDistanceLongTerm", |car| {
        number(car.history.weekly_km_long, 0)
    }),
    // Doors, windows, lights.
    rare("vehicle.cabin.door.status", |car| {
        text(match (car.body.locked, car.body.occupied) {
            (false, _) => "UNLOCKED",
            (true, true) => "LOCKED",
            (true, false) => "SECURED",
        })
    }),
    rare("vehicle.cabin.door.row1.driver.isOpen", |car| flag(car.body.driver_door_open)),
    rare("vehicle.cabin.door.row1.passenger.isOpen", |car| flag(car.body.passenger_door_open)),
    rare("vehicle.cabin.door.row2.driver.isOpen", |car| flag(car.body.rear_doors_open)),
    rare("vehicle.cabin.door.row2.passenger.isOpen", |car| flag(car.body.rear_doors_open)),
    rare("vehicle.cabin.window.row1.driver.status", |car| text(car.body.driver_window)),
    rare("vehicle.cabin.window.row1.passenger.status", |car| text(car.body.passenger_window)),
    rare("vehicle.cabin.window.row2.driver.status", |_| text("CLOSED")),
    rare("vehicle.cabin.window.row2.passenger.status", |_| text("CLOSED")),
    rare("vehicle.cabin.sunroof.status", |_| text("CLOSED")),
    rare("vehicle.body.trunk.isOpen", |car| flag(car.body.boot_open)),
    rare("vehicle.body.trunk.isLocked", |car| flag(car.body.locked)),
    rare("vehicle.body.hood.isOpen", |_| flag(false)),
    rare("vehicle.body.lights.isRunningOn", |car| flag(car.body.ignition_on)),
    rare("vehicle.vehicle.antiTheftAlarmSystem.alarm.armStatus", |car| {
        text(if car.body.locked && !car.body.occupied { "doorsTiltCabin" } else { "unarmed" })
    }),
    rare("vehicle.vehicle.antiTheftAlarmSystem.alarm.isOn", |_| flag(false)),
    // Cabin and electronics.
    rare("vehicle.drivetrain.engine.isIgnitionOn", |car| flag(car.body.ignition_on)),
    moving("vehicle.drivetrain.engine.isActive", |car| flag(car.is_engine_on())),
    rare("vehicle.cabin.infotainment.isMobilePhoneConnected", |car| flag(car.body.occupied)),
    rare("vehicle.cabin.infotainment.hmi.distanceUnit", |_| text("KILOMETERS")),
    slow("vehicle.electricalSystem.battery.voltage", |car| number(car.low_voltage_volt(), 1)),
    rare("vehicle.vehicle.preConditioning.activity", |car| {
        text(match (car.climate.conditioning_seconds, is_cold(car)) {
            (0, _) => "INACTIVE",
            (_, true) => "HEATING",
            (_, false) => "COOLING",
        })
    }),
    rare("vehicle.vehicle.preConditioning.remainingTime", |car| {
        number((f64::from(car.climate.conditioning_seconds) / 60.0).ceil(), 0)
    }),
    rare("vehicle.cabin.hvac.preconditioning.status.comfortState", |car| {
        text(match (car.climate.conditioning_seconds, is_cold(car)) {
            (0, _) => "NOT_ACTIVE",
            (_, true) => "COMFORT_HEATING",
            (_, false) => "COMFORT_COOLING",
        })
    }),
    rare("vehicle.cabin.climate.timers.weekdaysTimer1.action", |car| {
        text(if car.climate.timer.is_some() { "ACTIVATE" } else { "DEACTIVATE" })
    }),
    rare("vehicle.cabin.climate.timers.weekdaysTimer1.hour", |car| {
        number(car.climate.timer.map_or(0.0, |(hour, _)| f64::from(hour)), 0)
    }),
    rare("vehicle.cabin.climate.timers.weekdaysTimer1.minute", |car| {
        number(car.climate.timer.map_or(0.0, |(_, minute)| f64::from(minute)), 0)
    }),
    rare("vehicle.status.serviceDistance.next", |car| {
        number((car.service_left_m() / 1e6).ceil() * 1000.0, 0)
    }),
    rare("vehicle.status.conditionBasedServicesCount", |_| number(3.0, 0)),
    rare("vehicle.status.conditionBasedServices", services),
    rare("vehicle.channel.teleservice.status", |_| text("IDLE")),
    rare("vehicle.channel.teleservice.lastTeleserviceReportTime", |car| {
        date(car.history.teleservice_reported_at)
    }),
    // Tyres.
    slow("vehicle.chassis.axle.row1.wheel.left.tire.pressure", |car| tyre_kpa(car, 0)),
    slow("vehicle.chassis.axle.row1.wheel.right.tire.pressure", |car| tyre_kpa(car, 1)),
    slow("vehicle.chassis.axle.row2.wheel.left.tire.pressure", |car| tyre_kpa(car, 2)),
    slow("vehicle.chassis.axle.row2.wheel.right.tire.pressure", |car| tyre_kpa(car, 3)),
    rare("vehicle.chassis.axle.row1.wheel.left.tire.pressureTarget", |car| {
        number(car.model.front_tyre_kpa, 0)
    }),
    rare("vehicle.chassis.axle.row1.wheel.right.tire.pressureTarget", |car| {
        number(car.model.front_tyre_kpa, 0)
    }),
    rare("vehicle.chassis.axle.row2.wheel.left.tire.pressureTarget", |car| {
        number(car.model.rear_tyre_kpa, 0)
    }),
    rare("vehicle.chassis.axle.row2.wheel.right.tire.pressureTarget", |car| {
        number(car.model.rear_tyre_kpa, 0)
    }),
    slow("vehicle.chassis.axle.row1.wheel.left.tire.temperature", |car| {
        number(car.tyre_celsius.round(), 0)
    }),
    slow("vehicle.chassis.axle.row1.wheel.right.tire.temperature", |car| {
        number(car.tyre_celsius.round(), 0)
    }),
    slow("vehicle.chassis.axle.row2.wheel.left.tire.temperature", |car| {
        number((car.tyre_celsius + 1.0).round(), 0)
    }),
    slow("vehicle.chassis.axle.row2.wheel.right.tire.temperature", |car| {
        number((car.tyre_celsius + 1.0).round(), 0)
    }),
    // Fuel and engine.
    moving("vehicle.drivetrain.fuelSystem.level", |car| number(car.tank.as_ref()?.percent(), 0)),
    moving("vehicle.drivetrain.fuelSystem.remainingFuel", |car| {
        number(car.tank.as_ref()?.left_l, 1)
    }),
    moving("vehicle.cabin.infotainment.navigation.remainingRange", |car| {
        number(total_range_km(car)?, 0)
    }),
    moving("vehicle.drivetrain.totalRemainingRange", |car| number(total_range_km(car)?, 0)),
    rare("vehicle.drivetrain.lastRemainingRange", |car| number(total_range_km(car)?, 0)),
    slow("vehicle.drivetrain.internalCombustionEngine.engine.ect", |car| {
        number(car.coolant_celsius, 0)
    }),
    // Battery and range.
    moving("vehicle.drivetrain.batteryManagement.header", |car| number(charge(car)?.round(), 0)),
    moving("vehicle.powertrain.electric.battery.stateOfCharge.displayed", |car| {
        number(charge(car)?, 1)
    }),
    moving("vehicle.drivetrain.electricEngine.remainingElectricRange", |car| {
        number(car.electric_range_km(charge(car)?)?, 0)
    }),
    moving("vehicle.drivetrain.electricEngine.kombiRemainingElectricRange", |car| {
        number(car.electric_range_km(charge(car)?)?, 0)
    }),
    rare("vehicle.powertrain.electric.range.target", |car| {
        number(car.electric_range_km(car.electric.as_ref()?.port.target_percent)?, 0)
    }),
    rare("vehicle.drivetrain.batteryManagement.batterySizeMax", |car| {
        number(car.model.battery.as_ref()?.gross_kwh, 1)
    }),
    rare("vehicle.drivetrain.batteryManagement.maxEnergy", |car| {
        number(car.model.battery.as_ref()?.usable_kwh, 1)
    }),
    rare("vehicle.drivetrain.avgElectricRangeConsumption", |car| {
        car.electric.as_ref().and_then(|_| number(car.history.kwh_per_100_km, 1))
    }),
    rare("vehicle.vehicle.avgAuxPower", |car| {
        let on = car.electric.is_some() && car.body.ignition_on;
        car.electric
            .as_ref()
            .and_then(|_| number(if on { car.climate.auxiliary_kw } else { 0.0 }, 2))
    }),
    // Charging.
    rare("vehicle.drivetrain.electricEngine.charging.status", |car| {
        text(match car.electric.as_ref()?.port.state {
            Charge::No => "NOCHARGING",
            Charge::Initialization => "INITIALIZATION",
            Charge::Active => "CHARGINGACTIVE",
            Charge::Paused => "CHARGINGPAUSED",
            Charge::Ended => "CHARGINGENDED",
        })
    }),
    rare("vehicle.drivetrain.electricEngine.charging.hvStatus", |car| {
        text(match car.electric.as_ref()?.port.state {
            Charge::No => "NOT_CHARGING",
            Charge::Initialization | Charge::Paused => "WAITING_FOR_CHARGING",
            Charge::Active => "CHARGING",
            Charge::Ended if charge(car)? > 99.5 => "FINISHED_FULLY_CHARGED",
            Charge::Ended => "FINISHED_NOT_FULL",
        })
    }),
    slow("vehicle.powertrain.electric.battery.charging.power", |car| number(power_w(car)?, 0)),
    slow("vehicle.drivetrain.electricEngine.charging.acAmpere", |car| number(ampere(car)?, 0)),
    slow("vehicle.drivetrain.electricEngine.charging.acVoltage", |car| {
        number(if phases(car)? > 0.0 { Supply::VOLT } else { 0.0 }, 0)
    }),
    rare("vehicle.drivetrain.electricEngine.charging.phaseNumber", |car| {
        let phases = phases(car)?;
        text(if phases > 2.0 {
            "3-PHASES"
        } else if phases > 1.0 {
            "2-PHASES"
        } else if phases > 0.0 {
            "1-PHASES"
        } else {
            "NO_CHARGING"
        })
    }),
    slow("vehicle.drivetrain.electricEngine.charging.timeRemaining", |car| {
        number(minutes_until(car, car.electric.as_ref()?.port.target_percent)?, 0)
    }),
    slow("vehicle.drivetrain.electricEngine.charging.timeToFullyCharged", |car| {
        number(minutes_until(car, 100.0)?, 0)
    }),
    slow("vehicle.drivetrain.electricEngine.charging.smeEnergyDeltaFullyCharged", |car| {
        let battery = &car.electric.as_ref()?.battery;
        number(battery.model.usable_kwh - battery.stored_kwh(), 1)
    }),
    slow(
        "vehicle.drivetrain.electricEngine.charging.consumptionOverLifeTime.overall.gridEnergy",
        |car| car.electric.as_ref().and_then(|_| number(2150.0 + car.energy().charged_kwh, 1)),
    ),
    rare("vehicle.powertrain.electric.battery.stateOfCharge.target", |car| {
        number(car.electric.as_ref()?.port.target_percent, 0)
    }),
    rare("vehicle.drivetrain.electricEngine.charging.method", |car| {
        text(match car.electric.as_ref()?.port {
            ref port if !port.plugged => "NOCHARGING",
            ref port if matches!(port.supply, Supply::Direct { .. }) => "AC_TYP2COMBO",
            _ => "AC_TYPE2PLUG",
        })
    }),
    rare("vehicle.drivetrain.electricEngine.charging.connectionType", |car| {
        car.electric.as_ref().and_then(|_| text("CONDUCTIVE"))
    }),
    rare("vehicle.drivetrain.electricEngine.charging.connectorStatus", |car| {
        connected(car, |_| true)
    }),
    rare("vehicle.drivetrain.electricEngine.charging.lastChargingReason", |car| {
        text(car.electric.as_ref()?.port.ended_because)
    }),
    rare("vehicle.drivetrain.electricEngine.charging.hvpmFinishReason", |car| {
        text(car.electric.as_ref()?.port.ended_because)
    }),
    rare("vehicle.drivetrain.electricEngine.charging.lastChargingResult", |car| {
        car.electric.as_ref().and_then(|_| text("SUCCESS"))
    }),
    rare("vehicle.body.chargingPort.status", |car| connected(car, |_| true)),
    rare("vehicle.body.chargingPort.statusClearText", |car| connected(car, |_| true)),
    rare("vehicle.body.chargingPort.dcStatus", |car| {
        connected(car, |supply| matches!(supply, Supply::Direct { .. }))
    }),
    rare("vehicle.body.chargingPort.plugEventId", |car| {
        number(f64::from(car.electric.as_ref()?.port.plug_events), 0)
    }),
    rare("vehicle.body.flap.isLocked", |car| flag(!car.electric.as_ref()?.port.flap_open)),
    rare("vehicle.powertrain.tractionBattery.charging.port.anyPosition.isPlugged", |car| {
        flag(car.electric.as_ref()?.port.plugged)
    }),
    rare("vehicle.powertrain.tractionBattery.charging.port.anyPosition.flap.isOpen", |car| {
        flag(car.electric.as_ref()?.port.flap_open)
    }),
    rare("vehicle.powertrain.tractionBattery.charging.port.rearRight.isPlugged", |car| {
        flag(car.electric.as_ref()?.port.plugged)
    }),
    rare("vehicle.powertrain.tractionBattery.charging.port.rearRight.flap.isOpen", |car| {
        flag(car.electric.as_ref()?.port.flap_open)
    }),
    // The last trip.
    rare("vehicle.trip.segment.end.time", |car| date(car.history.trip_ended_at)),
    rare("vehicle.trip.segment.end.travelledDistance", |car| {
        number(car.history.trip_end_odometer_m / 1000.0, 1)
    }),
    rare("vehicle.trip.segment.end.drivetrain.batteryManagement.hvSoc", |car| {
        number(car.history.trip_end_charge_percent, 1)
    }),
    rare("vehicle.trip.segment.accumulated.acceleration.starsAverage", |car| {
        number(stars(car.history.trip.hardest_acceleration_mps2), 1)
    }),
    rare("vehicle.trip.segment.accumulated.chassis.brake.starsAverage", |car| {
        number(stars(car.history.trip.hardest_braking_mps2), 1)
    }),
    rare(
        "vehicle.trip.segment.accumulated.drivetrain.electricEngine.energyConsumptionComfort",
        |car| number(car.history.trip.comfort_kwh, 2),
    ),
    rare("vehicle.trip.segment.accumulated.drivetrain.electricEngine.recuperationTotal", |car| {
        number(car.history.trip.recuperated_kwh / km(&car.history.trip) * 100.0, 1)
    }),
    rare(
        "vehicle.trip.segment.accumulated.drivetrain.transmission.setting.fractionDriveElectric",
        |car| {
            let trip = &car.history.trip;
            number(trip.electric_metres / 1000.0 / km(trip) * 100.0, 0)
        },
    ),
    rare("vehicle.vehicle.avgSpeed", |car| {
        let trip = &car.history.trip;
        number(km(trip) / (trip.seconds / 3600.0).max(0.01), 0)
    }),
];

/// The unit of `descriptor` on the stream, which is not always the catalogue's (wire §3.1).
pub(crate) fn stream_unit(descriptor: &Descriptor) -> Option<&str> {
    match &*descriptor.name {
        "vehicle.vehicle.travelledDistance"
        | "vehicle.trip.segment.end.travelledDistance"
        | "vehicle.vehicle.averageWeeklyDistanceShortTerm"
        | "vehicle.vehicle.averageWeeklyDistanceLongTerm"
        | "vehicle.cabin.infotainment.navigation.remainingRange"
        | "vehicle.drivetrain.electricEngine.kombiRemainingElectricRange" => Some("km"),
        "vehicle.drivetrain.fuelSystem.remainingFuel" => Some("l"),
        "vehicle.powertrain.electric.battery.stateOfCharge.target" => None,
        _ => match descriptor.unit.as_deref() {
            Some("%") => Some("percent"),
            Some("°") => Some("degrees"),
            Some("°C") => Some("celsius"),
            other => other,
        },
    }
}

/// None of the numbers here is told below zero, which is where the catalogue's ranges begin; `max` also keeps `-0` off the
/// wire.
fn number(number: f64, digits: usize) -> Option<Value> {
    Value::decimal(number.max(0.0), digits)
}

#[expect(clippy::unnecessary_wraps, reason = "the form that `Signal::read` has")]
fn text(text: &str) -> Option<Value> {
    Some(Value::text(text))
}

#[expect(clippy::unnecessary_wraps, reason = "the form that `Signal::read` has")]
fn flag(flag: bool) -> Option<Value> {
    Some(Value::Boolean(flag))
}

/// As recorded messages have it: `28.09.2025 12:14:18 UTC`.
fn date(at: Timestamp) -> Option<Value> {
    text(&at.strftime("%d.%m.%Y %H:%M:%S UTC").to_string())
}

/// A service that is nearer than this is announced.
const PENDING_KM: f64 = 1500.0;

/// What is due when, as a JSON array inside of a text. An oil change is due every 30,000 km.
fn services(car: &Car) -> Option<Value> {
    let left_km = car.service_left_m() / 1000.0;
    let status = if left_km < PENDING_KM { "PENDING" } else { "OK" };
    let entry = |id: u8, title: &str, date: &str, status: &str, left: &str| {
        format!(
            "{{\"id\":{id},\"title\":\"{title}\",\"description\":\"{title}\",\"date\":\"{date}\",\
             \"messageType\":\"CBS\",\"status\":\"{status}\",\"text\":\"-\",\"unitOfLengthRemaining\":\"{left}\"}}"
        )
    };
    let entries = [
        entry(
            1,
            "Vehicle check",
            "null",
            status,
            &format!("{:.0}", (left_km / 1000.0).ceil() * 1000.0),
        ),
        entry(3, "Brake fluid", "2027-07", "OK", "-"),
        entry(32, "Vehicle inspection", "2028-10", "OK", "-"),
    ];
    text(&format!("[{}]", entries.join(",")))
}

/// Whether it is heating that makes the cabin comfortable.
fn is_cold(car: &Car) -> bool {
    car.ambient_celsius < 18.0
}

fn speed_step_kmh(car: &Car) -> f64 {
    (car.speed_mps * 3.6 / 10.0).floor() * 10.0
}

/// The pressure rises with the temperature, as of any gas (20 °C is 293 K).
fn tyre_kpa(car: &Car, tyre: usize) -> Option<Value> {
    let target = if tyre < 2 { car.model.front_tyre_kpa } else { car.model.rear_tyre_kpa };
    number(target * car.tyre_factors[tyre] * (car.tyre_celsius + 273.0) / 293.0, 0)
}

fn charge(car: &Car) -> Option<f64> {
    Some(car.electric.as_ref()?.battery.charge_percent())
}

fn total_range_km(car: &Car) -> Option<f64> {
    let electric_km = charge(car).and_then(|percent| car.electric_range_km(percent));
    Some(car.fuel_range_km()? + electric_km.unwrap_or(0.0))
}

fn power_w(car: &Car) -> Option<f64> {
    let Electric { battery, port } = car.electric.as_ref()?;
    let kw = if port.state == Charge::Active { battery.power_kw(port.supply) } else { 0.0 };
    Some(kw * 1000.0)
}

/// The phases in use; 0 while it does not charge with alternating current.
fn phases(car: &Car) -> Option<f64> {
    let port = &car.electric.as_ref()?.port;
    Some(match (port.state, port.supply) {
        (Charge::Active, Supply::Alternating { phases, .. }) => f64::from(phases),
        _ => 0.0,
    })
}

/// The current on each phase.
fn ampere(car: &Car) -> Option<f64> {
    let phases = phases(car)?;
    Some(if phases > 0.0 { power_w(car)? / phases / Supply::VOLT } else { 0.0 })
}

/// Zero while it does not charge.
fn minutes_until(car: &Car, percent: f64) -> Option<f64> {
    let Electric { battery, port } = car.electric.as_ref()?;
    Some(match port.state {
        Charge::Active | Charge::Paused => battery.minutes_until(percent, port.supply).ceil(),
        Charge::No | Charge::Initialization | Charge::Ended => 0.0,
    })
}

fn connected(car: &Car, with: fn(Supply) -> bool) -> Option<Value> {
    let port = &car.electric.as_ref()?.port;
    text(if port.plugged && with(port.supply) { "CONNECTED" } else { "DISCONNECTED" })
}

fn stars(hardest_mps2: f64) -> f64 {
    (6.0 - hardest_mps2).clamp(1.0, 5.0)
}

fn km(trip: &Tally) -> f64 {
    (trip.metres / 1000.0).max(0.1)
}
