//! Storage with reusable places and keys that do not outlive what they name.

/// Names an item; a key of a removed item names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    place: u32,
    generation: u32,
}

/// Items by key.
#[derive(Debug)]
pub struct Slab<T> {
    places: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    /// Empty.
    pub const fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }

    /// Stores an item.
    pub fn insert(&mut self, item: T) -> Key {
        if let Some(place) = self.free.pop()
            && let Some((generation, slot)) = self.places.get_mut(place as usize)
        {
            *slot = Some(item);
            return Key { place, generation: *generation };
        }
        self.places.push((0, Some(item)));
        Key { place: self.places.len() as u32 - 1, generation: 0 }
    }

    /// The item, if it is still there.
    pub fn get(&self, key: Key) -> Option<&T> {
        let (generation, item) = self.places.get(key.place as usize)?;
        item.as_ref().filter(|_| *generation == key.generation)
    }

    /// The item, if it is still there.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let (generation, item) = self.places.get_mut(key.place as usize)?;
        item.as_mut().filter(|_| *generation == key.generation)
    }

    /// Takes the item out.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let (generation, item) = self.places.get_mut(key.place as usize)?;
        if *generation != key.generation {
            return None;
        }
        let taken = item.take()?;
        *generation = generation.wrapping_add(1);
        self.free.push(key.place);
        Some(taken)
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// All items.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.places.iter_mut().filter_map(|(_, item)| item.as_mut())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_key_names_nothing() {
        let mut slab = Slab::new();
        let old = slab.insert('a');
        assert_eq!(slab.remove(old), Some('a'));
        let new = slab.insert('b');
        assert_eq!((slab.get(old), slab.get(new)), (None, Some(&'b')));
        assert_eq!(slab.remove(old), None);
        assert_eq!(slab.values_mut().count(), 1);
    }
}
