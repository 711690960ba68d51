"""The signals that the tests speak of, by short names."""

SOC = "vehicle.drivetrain.batteryManagement.header"
SOC_DISPLAYED = "vehicle.powertrain.electric.battery.stateOfCharge.displayed"
ODOMETER = "vehicle.vehicle.travelledDistance"
MOVING = "vehicle.isMoving"
LATITUDE = "vehicle.cabin.infotainment.navigation.currentLocation.latitude"
LONGITUDE = "vehicle.cabin.infotainment.navigation.currentLocation.longitude"
ALTITUDE = "vehicle.cabin.infotainment.navigation.currentLocation.altitude"
TRUNK = "vehicle.body.trunk.isOpen"
# In the catalogue, and REST gives it, but the stream never does.
NOT_STREAMABLE = "vehicle.cabin.door.lock.status"
