//! The known descriptors, numbered so that a set of them is a bit set.
//!
//! The listed ones ship with the program (`catalogue/catalogue.csv`, see `docs/reference/catalogue.md`). Others that a
//! vehicle sends join as *unlisted* while the process runs, up to a limit.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::descriptor::{DescriptorError, DescriptorId, DescriptorSet, has_form};

/// How many unlisted descriptors one process learns, so that a faulty vehicle can't fill its memory.
pub const UNLISTED_MAX: usize = 2048;

const SHIPPED: &str = include_str!("catalogue/catalogue.csv");

/// What is known of a descriptor. Ranges are typical values, never limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// The technical id, such as `vehicle.drivetrain.batteryManagement.header`.
    pub name: Arc<str>,
    /// A short English title; the name itself for an unlisted one.
    pub title: Arc<str>,
    /// A short German title; the name itself for an unlisted one.
    pub title_de: Arc<str>,
    /// `string`, `boolean`, `uint8`, …; `None` where none is stated.
    pub datatype: Option<Arc<str>>,
    /// The unit, such as `%`, `km`, `kPa`.
    pub unit: Option<Arc<str>>,
    /// The values of an enumeration.
    pub values: Vec<Arc<str>>,
    /// The lower and upper end of the typical range, in `unit`, as printed.
    pub range: Option<(Arc<str>, Arc<str>)>,
    /// Whether it can be sent on the stream; others are read over REST only.
    pub streamable: bool,
    /// The catalogue's section.
    pub category: Category,
    /// The drivetrains that have it: some of ICE, MHEV, PHEV, BEV.
    pub drivetrains: Vec<Arc<str>>,
    /// The REST endpoint of its own that gives it instead of `telematicData`, if any.
    pub endpoint: Option<Arc<str>>,
}

/// A section of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    /// Doors, windows, position, odometer, service.
    VehicleStatus,
    /// Battery and charging.
    BevPhevData,
    /// Trips and driving style.
    UsageBased,
    /// About the vehicle's data connection.
    MetaData,
    /// Pressures and temperatures.
    TyreData,
    /// What was fixed when the vehicle was built.
    BasicData,
    /// Events such as a breakdown call.
    Events,
    /// The data contract itself.
    CdContract,
    /// In no catalogue; learnt from a vehicle.
    Unlisted,
}

impl Category {
    /// The sections of the published catalogue: all but [`Category::Unlisted`].
    pub const LISTED: [Self; 8] = [
        Self::VehicleStatus,
        Self::BevPhevData,
        Self::UsageBased,
        Self::MetaData,
        Self::TyreData,
        Self::BasicData,
        Self::Events,
        Self::CdContract,
    ];

    /// The name in the catalogue, such as `VEHICLE_STATUS`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::VehicleStatus => "VEHICLE_STATUS",
            Self::BevPhevData => "BEV_PHEV_DATA",
            Self::UsageBased => "USAGE_BASED",
            Self::MetaData => "META_DATA",
            Self::TyreData => "TYRE_DATA",
            Self::BasicData => "BASIC_DATA",
            Self::Events => "EVENTS",
            Self::CdContract => "CD_CONTRACT",
            Self::Unlisted => "UNLISTED",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::LISTED.into_iter().find(|category| category.as_str() == text)
    }
}

/// The known descriptors. Cheap to share; learning an unlisted one is the only thing that changes it.
#[derive(Debug)]
pub struct Catalogue {
    listed: Vec<Arc<Descriptor>>,
    by_name: HashMap<Arc<str>, DescriptorId>,
    unlisted: RwLock<Unlisted>,
}

#[derive(Debug, Default)]
struct Unlisted {
    descriptors: Vec<Arc<Descriptor>>,
    by_name: HashMap<Arc<str>, DescriptorId>,
}

impl Catalogue {
    /// The catalogue that ships with the program: 295 descriptors, 245 of them streamable.
    ///
    /// # Panics
    /// Never: the shipped file is checked by this crate's tests.
    pub fn shipped() -> Self {
        let listed: Vec<_> = SHIPPED
            .lines()
            .skip(1)
            .map(|line| Arc::new(parse_line(line).expect("the shipped catalogue is well formed")))
            .collect();
        let by_name = (0..)
            .map(DescriptorId)
            .zip(&listed)
            .map(|(id, descriptor)| (descriptor.name.clone(), id))
            .collect();
        Self { listed, by_name, unlisted: RwLock::default() }
    }

    /// The number of the descriptor called `name`, if it is listed or was learnt.
    pub fn find(&self, name: &str) -> Option<DescriptorId> {
        self.by_name.get(name).copied().or_else(|| self.learnt().by_name.get(name).copied())
    }

    /// The number of the descriptor called `name`; an unknown one is learnt as unlisted and streamable.
    ///
    /// # Errors
    /// [`DescriptorError`] when `name` has not the form of a descriptor, or too many unlisted ones are known.
    ///
    /// # Panics
    /// Never: the listed and [`UNLISTED_MAX`] unlisted descriptors fit 16 bits.
    pub fn intern(&self, name: &str) -> Result<DescriptorId, DescriptorError> {
        if let Some(id) = self.find(name) {
            return Ok(id);
        }
        if !has_form(name) {
            return Err(DescriptorError::Form(
                name.chars().take(crate::descriptor::NAME_LENGTH_MAX).collect(),
            ));
        }
        let mut unlisted = self.unlisted.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = unlisted.by_name.get(name) {
            return Ok(*id);
        }
        if unlisted.descriptors.len() >= UNLISTED_MAX {
            return Err(DescriptorError::TooMany(name.to_owned()));
        }
        let number = self.listed.len() + unlisted.descriptors.len();
        let id = DescriptorId(
            u16::try_from(number).expect("listed and unlisted descriptors fit 16 bits"),
        );
        let name: Arc<str> = name.into();
        unlisted.by_name.insert(name.clone(), id);
        unlisted.descriptors.push(Arc::new(Descriptor {
            title: name.clone(),
            title_de: name.clone(),
            name,
            datatype: None,
            unit: None,
            values: Vec::new(),
            range: None,
            streamable: true,
            category: Category::Unlisted,
            drivetrains: Vec::new(),
            endpoint: None,
        }));
        Ok(id)
    }

    /// What is known of `id`.
    ///
    /// # Panics
    /// When `id` came from another catalogue.
    pub fn descriptor(&self, id: DescriptorId) -> Arc<Descriptor> {
        let number = usize::from(id.0);
        match self.listed.get(number) {
            Some(descriptor) => descriptor.clone(),
            None => self.learnt().descriptors[number - self.listed.len()].clone(),
        }
    }

    /// The listed descriptors with their numbers, sorted by name.
    pub fn listed(&self) -> impl Iterator<Item = (DescriptorId, &Descriptor)> {
        (0..).map(DescriptorId).zip(self.listed.iter().map(AsRef::as_ref))
    }

    /// The streamable ones among `names`. Unlisted ones are learnt, so that what a container names counts also after a
    /// restart, before a vehicle has sent it again; what can't be learnt is left out.
    pub fn streamable<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> DescriptorSet {
        names
            .into_iter()
            .filter_map(|name| self.intern(name).ok())
            .filter(|id| self.descriptor(*id).streamable)
            .collect()
    }

    fn learnt(&self) -> std::sync::RwLockReadGuard<'_, Unlisted> {
        // The lock guards two collections that only grow together; a panic between the two can't happen.
        self.unlisted.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parse_line(line: &str) -> Option<Descriptor> {
    let columns: Vec<&str> = line.split(',').collect();
    let [
        name,
        title,
        title_de,
        datatype,
        unit,
        values,
        min,
        max,
        streamable,
        category,
        drivetrains,
        endpoint,
    ] = columns[..].try_into().ok()?;
    let stated = |text: &str| (!text.is_empty()).then(|| Arc::<str>::from(text));
    let list = |text: &str| text.split('|').filter_map(stated).collect::<Vec<_>>();
    Some(Descriptor {
        name: name.into(),
        title: title.into(),
        title_de: title_de.into(),
        datatype: stated(datatype),
        unit: stated(unit),
        values: list(values),
        range: stated(min).zip(stated(max)),
        streamable: streamable == "true",
        category: Category::parse(category)?,
        drivetrains: list(drivetrains),
        endpoint: stated(endpoint),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_shipped_catalogue_has_the_published_counts() {
        let catalogue = Catalogue::shipped();
        let count = |category| catalogue.listed().filter(|(_, d)| d.category == category).count();
        assert_eq!(catalogue.listed().count(), 295);
        assert_eq!(catalogue.listed().filter(|(_, d)| d.streamable).count(), 245);
        assert_eq!(Category::LISTED.map(count), [130, 114, 17, 13, 12, 6, 2, 1]);
    }

    #[test]
    fn each_listed_descriptor_has_the_form_titles_of_its_own_and_its_own_number() {
        let catalogue = Catalogue::shipped();
        let mut english = HashSet::new();
        let mut german = HashSet::new();
        for (id, descriptor) in catalogue.listed() {
            assert!(has_form(&descriptor.name), "{}", descriptor.name);
            for (titles, title) in
                [(&mut english, &descriptor.title), (&mut german, &descriptor.title_de)]
            {
                assert!(!title.trim().is_empty(), "{} has no title", descriptor.name);
                assert!(titles.insert(title.to_lowercase()), "two are called {title}");
            }
            assert_eq!(catalogue.find(&descriptor.name), Some(id));
            assert_eq!(*catalogue.descriptor(id), *descriptor);
        }
    }

    #[test]
    fn an_unknown_descriptor_of_the_right_form_is_learnt_once() {
        let catalogue = Catalogue::shipped();
        assert_eq!(catalogue.find("vehicle.brand.new"), None);
        let id = catalogue.intern("vehicle.brand.new").unwrap();
        assert_eq!(catalogue.intern("vehicle.brand.new"), Ok(id));
        assert_eq!(catalogue.descriptor(id).category, Category::Unlisted);
        assert!(catalogue.streamable(["vehicle.brand.new"]).contains(id));
        assert!(matches!(catalogue.intern("brand new"), Err(DescriptorError::Form(_))));
    }

    #[test]
    fn the_unlisted_are_limited() {
        let catalogue = Catalogue::shipped();
        for number in 0..UNLISTED_MAX {
            catalogue.intern(&format!("vehicle.x.y{number}")).unwrap();
        }
        assert!(matches!(catalogue.intern("vehicle.x.more"), Err(DescriptorError::TooMany(_))));
        assert!(catalogue.intern("vehicle.x.y0").is_ok());
    }

    #[test]
    fn an_unlisted_descriptor_counts_before_a_vehicle_has_sent_it_again() {
        let catalogue = Catalogue::shipped();
        let set = catalogue.streamable(["vehicle.brand.new", "no descriptor"]);
        assert_eq!(set.len(), 1);
        assert!(set.contains(catalogue.find("vehicle.brand.new").unwrap()));
    }

    #[test]
    fn what_cannot_be_streamed_is_in_no_entitlement() {
        let catalogue = Catalogue::shipped();
        let hidden = catalogue.listed().find(|(_, d)| !d.streamable).unwrap().1.name.clone();
        assert!(catalogue.streamable([&*hidden]).is_empty());
    }
}
