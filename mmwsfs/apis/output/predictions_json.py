"""``predictions.json``: what a folder of predictions says about itself.

Every path of a file that was written is below the folder of ``predictions.json``, with
``/`` between its parts; paths of photographs are as they were given. ::

    {
      "format": 1,
      "model": "cst-photos",            what was asked for: a name, a file, or null
      "threshold": 0.5,                 a class is present above this probability
      "absent_pixels": false,           whether absent classes may have pixels
      "edges": false,                   whether pixels follow the photograph's colours
      "classes": ["cat", "dog"],        in the order of the label maps: 1, 2, ...
      "colours": {"cat": [230, 60, 60], "dog": [60, 130, 240]},             RGB
      "supports": {
        "cat": [{"image": "a.jpg",      its file, or null for one in memory
                 "picture": "supports/cat_1.jpg"}],    with the mask that was used
        "dog": [{"image": "c.jpg", "picture": "supports/dog_1.jpg"}]
      },
      "negatives": {"cat": ["lion.jpg"]},    classes without any are left out
      "predictions": [
        {"image": "photos/trip/x.jpg",  its file, or null for one in memory
         "size": [640, 480],            width and height of the photograph
         "picture": "vis/trip/x.jpg",   the overlay
         "label_map": "pred/trip/x.png",
         "cutouts": {"cat": "cutouts/trip/x_cat.png"},    of classes with pixels
         "presence": {"cat": 0.97, "dog": 0.08},          probability, 0..1
         "present": ["cat"],
         "areas": {"cat": 0.3125, "dog": 0.0},            share of all pixels, 0..1
         "boxes": {"cat": [40, 30, 400, 240]}}            of classes with pixels:
      ]                                 left, top, width and height in pixels
    }
"""
